//! Copies one file: what an init container does where upstream images have coreutils. The target changes in one step,
//! so a reader never sees half a file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: impl Iterator<Item = String>) -> io::Result<()> {
    // -f is what copying does here anyway.
    let paths: Vec<PathBuf> = args
        .filter(|arg| arg != "-f" && arg != "--")
        .map(PathBuf::from)
        .collect();
    let [from, to] = paths.as_slice() else {
        return Err(io::Error::other("usage: cp [-f] SOURCE TARGET"));
    };
    let to = if to.is_dir() {
        to.join(from.file_name().unwrap_or_default())
    } else {
        to.clone()
    };
    copy(from, &to)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let explain = |e: io::Error| io::Error::new(e.kind(), format!("{} to {}: {e}", from.display(), to.display()));
    let mut name = std::ffi::OsString::from(".");
    name.push(to.file_name().unwrap_or_default());
    name.push(".new");
    let partial = to.with_file_name(name);
    fs::copy(from, &partial).map_err(explain)?;
    fs::File::open(&partial)
        .and_then(|file| file.sync_all())
        .map_err(explain)?;
    fs::rename(&partial, to).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_copied_over_another_and_into_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let args = |to: &Path| ["-f".into(), from.display().to_string(), to.display().to_string()].into_iter();
        run(args(&to)).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        run(args(&folder)).unwrap();
        assert_eq!(fs::read_to_string(folder.join("from")).unwrap(), "new");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
