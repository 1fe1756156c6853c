//! Where the journal is written, and how much of it is kept.

use super::Check;
use crate::{
    act::journal::{Kept, Outputs},
    model::quantity::Quantity,
};
use std::path::PathBuf;

/// Less than this would be a few lines a file.
const SMALLEST: u64 = 64 << 10;

/// The flags, from wherever they were said.
pub(super) struct Wanted {
    pub(super) place: Option<String>,
    pub(super) size: Option<String>,
    pub(super) files: Option<String>,
    pub(super) stdout: Option<String>,
}

impl Wanted {
    pub(super) fn settle(self, check: &mut Check) -> Outputs {
        let bounded = self.size.is_some() || self.files.is_some();
        let size = self.size.as_deref().unwrap_or("64Mi");
        let bytes = Quantity::parse(size).and_then(|size| u64::try_from(size.holds(Quantity::whole(1))).ok()).filter(|bytes| *bytes >= SMALLEST);
        check.that(bytes.is_some(), || format!("--journal-size: `{size}` is no size of 64Ki or more, such as 64Mi"));
        let files = check.parse::<u32>("--journal-files", self.files, "5", "a number of files from 2 to 1000").unwrap_or(5);
        check.that((2..=1_000).contains(&files), || {
            format!("--journal-files: `{files}` is not a number of files from 2 to 1000: with fewer, a full one would be thrown away")
        });
        let stdout = check.parse::<bool>("--journal-stdout", self.stdout, "false", "true or false").unwrap_or_default();
        match self.place.filter(|place| place != "-") {
            Some(place) => {
                check.that(!place.is_empty(), || "--journal: say a file, or `-` for standard output".to_owned());
                Outputs { file: bytes.map(|size| Kept { path: PathBuf::from(place), size, files }), stdout }
            }
            None => {
                check.that(!bounded, || "--journal-…: what goes to standard output is not kept by clonewarden; say --journal FILE".to_owned());
                Outputs { file: None, stdout: true }
            }
        }
    }
}
