//! Where the API server is and who we are there: kubeconfig by its standard variables, else the Pod's service account.

use super::answer::words;
use ::kube::{
    Client,
    config::{AuthInfo, Config, KubeConfigOptions, KubeconfigError},
};
use anyhow::anyhow;
use http::{HeaderValue, header};
use std::time::Duration;

/// The namespace of the Pod that this process runs in, if it runs in one.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// How long a connection may take to come up. Less than a read, so that it is the server that is said to be unreachable.
const CONNECT: Duration = Duration::from_secs(5);

/// Makes ring the provider of cryptography for all TLS of this process. Whoever comes second changes nothing.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether this process runs in a Pod that has a service account.
#[must_use]
pub fn in_pod() -> bool {
    std::path::Path::new(POD_NAMESPACE).exists()
}

/// The namespace that is meant where none is said: the Pod's own, else the one of the kubeconfig's context, else `default`.
pub async fn default_namespace() -> String {
    namespace(read(None).await.ok().as_ref()).await
}

pub(super) async fn namespace(config: Option<&Config>) -> String {
    let own = tokio::fs::read_to_string(POD_NAMESPACE).await.unwrap_or_default();
    let context = config.map_or("", |config| config.default_namespace.as_str());
    let known = [own.trim(), context, "default"].into_iter().find(|name| !name.is_empty());
    known.unwrap_or("default").to_owned()
}

/// Everything that a client needs; of the kubeconfig this context, or the current one.
pub(super) async fn load(context: Option<&str>) -> anyhow::Result<Config> {
    install_tls();
    let mut config = read(context).await?;
    // Writes and the lease are never sent twice; lists are repeated by who asked for them.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    // A watch is silent for minutes: every call has a limit of its own instead.
    config.read_timeout = None;
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(concat!("clonewarden/", env!("CARGO_PKG_VERSION")))));
    Ok(config)
}

/// A client, with connections of its own. There is no limit to how many: HTTP/1.1 needs one for every request in flight.
pub(super) fn client(config: &Config) -> anyhow::Result<Client> {
    Client::try_from(config.clone()).map_err(|error| anyhow!(words(&error)))
}

/// The same cluster for somebody of whom nothing is known: where it is and whom to trust there, and none of our credentials. A
/// certificate of ours would speak for us on every connection, whatever token is sent along.
pub(super) fn stranger(mut config: Config) -> Config {
    config.headers = vec![(header::USER_AGENT, HeaderValue::from_static(concat!("clonewarden-api/", env!("CARGO_PKG_VERSION"))))];
    config.auth_info = AuthInfo::default();
    config
}

/// Unlike the client's own way, a `KUBECONFIG` that cannot be used is an error even in a Pod (it would be another cluster than
/// the one that was meant), and no debugging variables are obeyed.
async fn read(context: Option<&str>) -> anyhow::Result<Config> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let problem = match Config::from_kubeconfig(&options).await {
        Ok(config) => return Ok(config),
        Err(error) => explain(&error),
    };
    if context.is_some() {
        return Err(anyhow!("kubeconfig: {problem}"));
    }
    if std::env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty()) {
        return Err(anyhow!("KUBECONFIG: {problem}"));
    }
    Config::incluster().map_err(|in_cluster| anyhow!("no kubeconfig ({problem}) and no service account ({in_cluster})"))
}

/// The parser quotes the lines around a mistake, and in this file those may hold a token.
fn explain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => "it is not a kubeconfig in valid YAML".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::kube::config::Kubeconfig;

    #[test]
    fn a_kubeconfig_that_does_not_parse_is_not_quoted() {
        let error = Kubeconfig::from_yaml("users:\n- name: me\n  user: {token: hunter2, token: hunter2").unwrap_err();
        assert!(!explain(&error).contains("hunter2"), "{}", explain(&error));
    }

    #[tokio::test]
    async fn a_stranger_has_nothing_of_ours() {
        let kubeconfig = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: \"https://localhost:1\", \
             tls-server-name: other}}], contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {token: hunter2, \
             client-certificate-data: aHVudGVyMg==, client-key-data: aHVudGVyMg==, as: admin, as-groups: [\"system:masters\"], \
             exec: {apiVersion: client.authentication.k8s.io/v1, command: hunter2, interactiveMode: Never}}}]}";
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        assert!(format!("{:?}", config.auth_info) != format!("{:?}", AuthInfo::default()), "there was nothing to leave behind");
        let mut ours = config.clone();
        ours.headers.push((header::AUTHORIZATION, HeaderValue::from_static("Bearer hunter2")));
        let stranger = stranger(ours);
        assert_eq!(format!("{:?}", stranger.auth_info), format!("{:?}", AuthInfo::default()));
        assert_eq!(
            (stranger.cluster_url, stranger.root_cert, stranger.tls_server_name),
            (config.cluster_url, config.root_cert, config.tls_server_name)
        );
        assert!(stranger.headers.iter().all(|(name, _)| *name == header::USER_AGENT), "{:?}", stranger.headers);
    }

    #[tokio::test]
    async fn without_a_pod_the_namespace_is_the_context_s_or_default() {
        let mut config = Config::new("https://localhost".parse().unwrap());
        config.default_namespace = "staging".to_owned();
        assert_eq!(namespace(Some(&config)).await, "staging");
        config.default_namespace.clear();
        assert_eq!(namespace(Some(&config)).await, "default");
        assert_eq!(namespace(None).await, "default");
    }
}
