//! Writes kubeconfig files and the API server's token file.
//!
//! A kubeconfig is written as JSON, which every reader of YAML takes, so no value needs quoting rules of its own. It
//! names the CA by path: the API server makes its certificate when it starts, after these files are there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

/// A user that the API server knows by a fixed token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// User name as RBAC and the audit log see it.
    pub(crate) name: &'static str,
    /// Groups besides `system:authenticated`.
    pub(crate) groups: &'static [&'static str],
}

/// Every fixed user. Each part has a name of its own so that the audit log tells who did a thing; all of them are
/// cluster admins because their real roles are not what is tested here. The two people have no rights at all until a
/// test binds some.
pub(crate) const USERS: &[User] = &[
    User { name: "admin", groups: &["system:masters"] },
    User { name: "system:kube-controller-manager", groups: &["system:masters"] },
    User { name: "system:kube-scheduler", groups: &["system:masters"] },
    User { name: "kwok", groups: &["system:masters"] },
    User { name: "kro", groups: &["system:masters"] },
    User { name: "ack-rds", groups: &["system:masters"] },
    User { name: "alice@example.com", groups: &[] },
    User { name: "bob@example.com", groups: &[] },
];

/// The text of a kubeconfig with one cluster, one user and one context.
pub(crate) fn text(server: &str, ca: &Path, user: &str, token: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "platform", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "platform", "context": {"cluster": "platform", "user": user, "namespace": "default"}}],
        "current-context": "platform",
    });
    format!("{config:#}\n")
}

/// The API server's `--token-auth-file`: `token,user,uid,"group,group"`.
pub(crate) fn token_file(users: &[(User, String)]) -> String {
    users
        .iter()
        .map(|(user, token)| match user.groups {
            [] => format!("{token},{name},{name}\n", name = user.name),
            groups => format!("{token},{name},{name},\"{}\"\n", groups.join(","), name = user.name),
        })
        .collect()
}

/// A name that is safe as a file name: what is not a letter, digit, dot or dash becomes `_`.
pub(crate) fn file_name(user: &str) -> String {
    user.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' }).collect()
}

/// Puts `bytes` at `path`, readable by this user alone, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let parent = path.parent().with_context(|| format!("{} has no folder", path.display()))?;
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
    // The thread in the name: tests of one process may write the same file at once.
    let unfinished: PathBuf = parent.join(format!(".{}.{}.{:?}", name.to_string_lossy(), std::process::id(), std::thread::current().id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .with_context(|| format!("cannot write {}", unfinished.display()))?;
    file.write_all(bytes).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot put {} in place", path.display()))
}

/// Token of the user called `name` in the text of a token file.
pub(crate) fn token_of(token_file: &str, name: &str) -> Result<String> {
    for line in token_file.lines() {
        let mut fields = line.split(',');
        if let (Some(token), Some(user)) = (fields.next(), fields.next())
            && user == name
        {
            return Ok(token.to_owned());
        }
    }
    let known: Vec<_> = USERS.iter().map(|user| user.name).collect();
    bail!("the platform has no user `{name}`: take one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_points_at_the_server_with_the_token() {
        let text = text("https://127.0.0.1:6443", Path::new("/x/\"y\"/ca.crt"), "alice@example.com", "t0k\"en");
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
        assert_eq!(parsed["clusters"][0]["cluster"]["certificate-authority"], "/x/\"y\"/ca.crt");
        assert_eq!(parsed["users"][0]["user"]["token"], "t0k\"en");
        assert_eq!(parsed["contexts"][0]["context"]["user"], parsed["users"][0]["name"]);
        assert_eq!(parsed["current-context"], parsed["contexts"][0]["name"]);
    }

    #[test]
    fn the_token_file_has_a_line_a_user_and_can_be_read_back() {
        let users: Vec<_> = USERS.iter().map(|user| (user.clone(), format!("token-of-{}", user.name))).collect();
        let text = token_file(&users);
        assert_eq!(text.lines().count(), USERS.len());
        assert!(text.starts_with("token-of-admin,admin,admin,\"system:masters\"\n"), "{text}");
        assert!(text.ends_with("token-of-bob@example.com,bob@example.com,bob@example.com\n"), "{text}");
        assert_eq!(token_of(&text, "alice@example.com").unwrap(), "token-of-alice@example.com");
        assert!(token_of(&text, "carol").unwrap_err().to_string().contains("alice@example.com"));
    }

    #[test]
    fn a_user_makes_a_safe_file_name() {
        assert_eq!(file_name("system:serviceaccount:a:b"), "system_serviceaccount_a_b");
        assert_eq!(file_name("../alice@example.com"), ".._alice_example.com");
    }
}
