//! The gateway's incidents in a small file of its data folder: written whole, beside, and then put
//! in place, so that a crash leaves the old one or the new one.

use std::io;
use std::path::Path;

use leasehold_backend_api::durable_file;
use serde::Deserialize;
use serde::Serialize;

use super::incident::Incident;

/// The form of the file that this build writes and reads.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    incidents: &'a [Incident],
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    incidents: Vec<Incident>,
}

/// Reads the incidents, oldest first; a file that is not there has none.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Incident>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let Read { version, incidents } = serde_json::from_slice(&text)?;
    if version != VERSION {
        let problem = format!("it has version {version}, this build reads {VERSION}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    Ok(incidents)
}

/// Puts the incidents in the place of those that were there; durable when it returns.
pub(crate) fn write(path: &Path, incidents: &[Incident]) -> io::Result<()> {
    let version = VERSION;
    let text = serde_json::to_vec_pretty(&Written { version, incidents })?;
    durable_file::replace(path, &text)
}

#[cfg(test)]
mod tests {
    use leasehold_backend_api::durable_file::temporary_path;

    use super::super::tests::incident;
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.json");
        assert_eq!(read(&path).unwrap(), Vec::new());
        for count in [2, 1] {
            let incidents: Vec<_> = (0..count).map(incident).collect();
            write(&path, &incidents).unwrap();
            assert_eq!(read(&path).unwrap(), incidents);
        }
    }

    #[test]
    fn a_write_that_was_cut_off_leaves_the_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.json");
        write(&path, &[incident(1)]).unwrap();
        std::fs::write(temporary_path(&path), "{\"version\":1,\"incid").unwrap();
        assert_eq!(read(&path).unwrap(), [incident(1)]);
    }

    #[test]
    fn what_is_not_understood_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("incidents.json");
        for wrong in ["", "{}", "{\"version\":2,\"incidents\":[]}"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(read(&path).is_err(), "{wrong}");
        }
    }
}
