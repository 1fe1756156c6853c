//! The ConfigMap `clonewarden-policies-in-force`: the policies that the holder of the lease acts by, file by file, for a restart that finds a
//! folder which cannot be loaded.
//!
//! Contract: written by the holder alone, and only what has been loaded; read at a start alone, and used only if it loads whole.

use crate::{
    policy::Folder,
    ports::{ApiError, Cluster, Stored},
};
use std::collections::BTreeMap;

/// The name of the ConfigMap, in the daemon's namespace.
pub const NAME: &str = "clonewarden-policies-in-force";
/// What a ConfigMap may hold, less some room for its other fields.
const LARGEST: usize = 1_000_000;

/// Why a set of policies is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepError {
    /// The API server did not do it.
    #[error("ConfigMap `{NAME}`: {0}")]
    Api(#[from] ApiError),
    /// There is no room for it.
    #[error("the policies are {0} bytes, more than a ConfigMap holds")]
    TooLarge(usize),
    /// It is no key of a ConfigMap.
    #[error("a ConfigMap cannot hold a file called `{0}`: letters, digits, `-`, `_` and `.` only")]
    Name(String),
}

/// Keeps these files, unless they are what is kept.
///
/// # Errors
/// When they do not fit into a ConfigMap, or the API server does not take them.
pub async fn keep(cluster: &dyn Cluster, folder: &Folder) -> Result<(), KeepError> {
    let data = data(folder)?;
    let kept = cluster.read_state(NAME).await?;
    if kept.as_ref().is_some_and(|kept| kept.data == data) {
        return Ok(());
    }
    cluster.write_state(NAME, data, kept.as_ref().map(|kept| kept.resource_version.as_str())).await?;
    Ok(())
}

/// What is kept; `None`: nothing ever was.
///
/// # Errors
/// When the API server does not answer.
pub async fn kept(cluster: &dyn Cluster) -> Result<Option<Folder>, ApiError> {
    Ok(cluster.read_state(NAME).await?.map(|Stored { data, .. }| {
        let files = data.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        Folder::of_files(files)
    }))
}

fn data(folder: &Folder) -> Result<BTreeMap<String, String>, KeepError> {
    let files = folder.all();
    let size = files.iter().map(|(name, bytes)| name.len().saturating_add(bytes.len())).fold(0, usize::saturating_add);
    if size > LARGEST {
        return Err(KeepError::TooLarge(size));
    }
    let is_key = |name: &str| name.len() < 254 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let text = |(name, bytes): (String, Vec<u8>)| {
        if !is_key(&name) {
            return Err(KeepError::Name(name));
        }
        // What has been loaded is UTF-8.
        Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
    };
    files.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_read() {
        let files = vec![("a.yaml".to_owned(), "# \u{feff}é".into()), ("COMMIT".to_owned(), b"abc\n".to_vec())];
        let folder = Folder::of_files(files);
        let kept = data(&folder).unwrap().into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        assert_eq!(Folder::of_files(kept), folder);
    }

    #[test]
    fn what_no_config_map_can_hold_is_said() {
        let of = |name: &str, size: usize| data(&Folder::of_files(vec![(name.to_owned(), vec![b'#'; size])]));
        assert_eq!(of("a b.yaml", 1), Err(KeepError::Name("a b.yaml".to_owned())));
        assert!(matches!(of("a.yaml", LARGEST), Err(KeepError::TooLarge(_))));
    }
}
