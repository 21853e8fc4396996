//! The folder of compiled policy modules: what is in it is executed.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use leasehold_core::data_dir::compiled_folder;
use nix::unistd::geteuid;

/// The bits of a mode that let others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Makes the folder of a data directory, if it is not there, for this user alone.
///
/// # Errors
/// It cannot be made, or somebody else could write to it.
pub(super) fn folder(data_dir: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", data_dir.display());
    let folder = compiled_folder(&std::path::absolute(data_dir).map_err(failed)?);
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    made.map_err(failed)?;
    let is = std::fs::symlink_metadata(&folder).map_err(failed)?;
    let is_own = is.is_dir() && is.uid() == geteuid().as_raw();
    match is_own && is.mode() & WRITABLE_BY_OTHERS == 0 {
        true => Ok(folder),
        false => Err(format!(
            "{} must be a directory that its owner, this user, alone can write to",
            folder.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn nobody_else_can_write_what_is_executed() {
        let data = tempfile::tempdir().unwrap();
        let made = folder(data.path()).unwrap();
        let mode = std::fs::metadata(&made).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(folder(data.path()), Ok(made.clone()), "made before");

        std::fs::set_permissions(&made, Permissions::from_mode(0o770)).unwrap();
        let problem = folder(data.path()).unwrap_err();
        assert!(problem.contains("compiled"), "{problem}");

        std::fs::remove_dir(&made).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &made).unwrap();
        assert!(folder(data.path()).is_err(), "a link to another directory");
    }
}
