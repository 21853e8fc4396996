//! A disk of a run's own: a file system in an image, which can be filled, and whose power can go.

use std::fs::File;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

use super::command::run;

/// A file system in an image. Unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

/// What the name of a run's folder begins with; it ends with the process's number and a random text.
pub(crate) const RUN_PREFIX: &str = "robustness-";

/// The image's size in MiB. The embedded store's journal takes 64 of them at once, and a member of
/// etcd 64 for each file of its log, which it keeps for as long as a run lasts.
const SIZE_MIB: u64 = 768;

impl Disk {
    /// Makes and mounts one, named `name`, in `folder`.
    ///
    /// # Errors
    /// The system refuses: this needs root, `mkfs.ext4` and loop devices.
    pub(crate) fn new(folder: &Path, name: &str) -> Result<Self> {
        let disk = Self {
            image: folder.join(format!("{name}.img")),
            mount: folder.join(name),
        };
        File::create(&disk.image)?.set_len(SIZE_MIB * 1_024 * 1_024)?;
        let image = text(&disk.image)?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", image])?;
        std::fs::create_dir(&disk.mount)?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    fn mount(&self) -> Result<()> {
        let (image, mount) = (text(&self.image)?, text(&self.mount)?);
        run("mount", &["-o", "loop", image, mount]).map(drop)
    }

    fn crash(&self) -> PathBuf {
        self.image.with_extension("crash")
    }

    fn unsynced(&self) -> PathBuf {
        self.mount.join("unsynced")
    }

    /// Keeps what the device has at this moment; what was written and not synced is not there. The
    /// processes that use the disk must be frozen.
    ///
    /// # Errors
    /// The copy fails.
    pub(crate) fn cut_power(&self) -> Result<()> {
        std::fs::write(self.unsynced(), "soon gone")?;
        let crash = self.crash();
        let (image, crash) = (text(&self.image)?, text(&crash)?);
        run("cp", &["--sparse=always", image, crash]).map(drop)
    }

    /// Goes on with what was kept when the power was cut. Nobody may use the disk.
    ///
    /// # Errors
    /// It is in use, or has what was not synced.
    pub(crate) fn restore_power(&self) -> Result<()> {
        run("umount", &[text(&self.mount)?])?;
        std::fs::rename(self.crash(), &self.image)?;
        self.mount()?;
        // Its name may have come with the commit of a journal, its content has not.
        let unsynced = std::fs::read(self.unsynced()).unwrap_or_default();
        ensure!(unsynced.is_empty(), "a disk kept what was not synced");
        Ok(())
    }

    fn filler(&self) -> PathBuf {
        self.mount.join("filler")
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// It cannot be filled.
    pub(crate) fn fill(&self) -> Result<()> {
        let free = run("df", &["--output=avail", "-B1", text(&self.mount)?])?;
        let free: u64 = free
            .lines()
            .last()
            .context("df answers a number")?
            .trim()
            .parse()?;
        let filler = self.filler();
        let most = free.saturating_sub(2 * 1_024 * 1_024).to_string();
        run("fallocate", &["-l", &most, text(&filler)?])?;
        let mut file = File::options().append(true).open(&filler)?;
        loop {
            let written = file.write_all(&[1; 4_096]).and_then(|()| file.sync_data());
            match written {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes away what filled it.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(crate) fn empty(&self) -> Result<()> {
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Ok(mount) = text(&self.mount) {
            // Whoever used it was killed, and the kernel may need a moment to see that.
            let _ = run("umount", &["--lazy", mount]);
        }
    }
}

/// Unmounts the disks of runs whose process is no more: the folder of a run has its number.
pub(crate) fn sweep() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    for mount in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
        let folder = mount.split('/').find(|part| part.starts_with(RUN_PREFIX));
        let process = folder.and_then(|folder| folder.rsplit('-').nth(1));
        let Some(process) = process.filter(|p| p.parse::<u32>().is_ok()) else {
            continue;
        };
        if !Path::new("/proc").join(process).exists() {
            run("umount", &["--lazy", mount])?;
        }
    }
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}
