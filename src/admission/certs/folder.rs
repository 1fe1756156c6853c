//! A folder in which somebody else's certificate is mounted: cert-manager's, say.
//!
//! It is read every few seconds and compared by content. The kubelet swaps the link `..data` for all files at once, which
//! watches on files miss; and it is that link which is followed first, so that certificate and key are never of two versions.

use super::{CA, CERTIFICATE, KEY, Material, Publisher, Purpose, Told, x509::Flaw};
use crate::ports::Clock;
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tracing::{error, info};

/// How often the folder is read.
const EVERY: Duration = Duration::from_secs(5);
/// The link that the kubelet swaps.
const DATA: &str = "..data";
/// The most that is read of one file: a Secret is at most 1 MiB as a whole.
const LARGEST: u64 = 1 << 20;

/// The task that follows it.
pub(super) struct Follower {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    publisher: Publisher,
    told: Told,
}

impl Follower {
    pub(super) fn new(folder: PathBuf, clock: Arc<dyn Clock>, publisher: Publisher) -> Self {
        Self { folder, clock, publisher, told: Told::default() }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.turn().await;
            self.clock.sleep(EVERY).await;
        }
    }

    pub(super) async fn turn(&mut self) {
        let folder = self.folder.clone();
        let purpose = self.publisher.purpose;
        let Ok(read) = tokio::task::spawn_blocking(move || read(&folder, purpose)).await else { return };
        match read.and_then(|material| self.publisher.offer(&material, self.clock.now())) {
            Ok(identity) => {
                self.told.over("content");
                if let Some(identity) = identity {
                    info!(until = %identity.not_after, fingerprint = %identity.fingerprint, "The certificate of the {} is in use.", purpose.whose());
                }
            }
            Err(flaw) => {
                if self.told.news("content", &flaw.to_string()) {
                    let rest = if self.publisher.has_any() { "the last good one stays in use" } else { "there is none" };
                    error!(%flaw, folder = %self.folder.display(), "The certificate of the {} cannot be used; {rest}.", purpose.whose());
                }
            }
        }
    }
}

fn read(folder: &Path, purpose: Purpose) -> Result<Material, Flaw> {
    // Resolved once: what is read after a swap is still of the version that was current before, or not there at all.
    let folder = folder.join(DATA).canonicalize().unwrap_or_else(|_| folder.to_owned());
    let part = |name: &str| part(&folder.join(name)).map_err(|error| Flaw::new(format!("`{name}` cannot be read: {}", error.kind())));
    let ca = if purpose == Purpose::Callers { Vec::new() } else { part(CA)? };
    Ok(Material { ca, certificate: part(CERTIFICATE)?, key: part(KEY)? })
}

fn part(path: &Path) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut part = Vec::new();
    std::fs::File::open(path)?.take(LARGEST).read_to_end(&mut part)?;
    Ok(part)
}

#[cfg(test)]
mod tests;
