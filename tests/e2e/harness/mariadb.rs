//! The server that plays a shared host: how the adapter is pointed at it, and a wire that can be cut.

use anyhow::{Context, Result};
use clonewarden::{
    observe::schemas::MySqlHosts,
    policy::{DatabaseHost, Endpoint},
};
use clonewarden_platform::{MariaDb, Platform};
use mysql_async::{Conn, OptsBuilder, SslOpts};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The host as a policy file would describe it.
pub(crate) fn host(mariadb: &MariaDb, port: u16) -> DatabaseHost {
    DatabaseHost {
        name: "shared".to_owned(),
        file: "hosts.yaml".to_owned(),
        line: 1,
        endpoint: Endpoint::new("127.0.0.1", port),
        schemas: 100,
        credentials_dir: Some(mariadb.credentials.display().to_string()),
        rds: None,
        cost_per_hour: None,
    }
}

/// The policy file that describes it, as the host `shared` with room for so many schemas.
pub(crate) fn document(mariadb: &MariaDb, schemas: u32) -> String {
    format!(
        "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: shared}}\n\
         spec: {{endpoint: 127.0.0.1, port: {}, schemas: {schemas}, credentialsDir: {}}}\n",
        mariadb.port,
        mariadb.credentials.display()
    )
}

/// The adapter, as the daemon has it.
pub(crate) fn adapter(mariadb: &MariaDb) -> MySqlHosts {
    MySqlHosts::new(mariadb.ca.clone())
}

/// The running server.
pub(crate) fn server() -> Result<MariaDb> {
    Platform::attach()?.mariadb()
}

/// A client of that name, such as the Pod of a clone.
pub(crate) async fn client(mariadb: &MariaDb, user: &str, password: &str) -> Result<Conn> {
    let tls = SslOpts::default().with_root_certs(vec![mariadb.ca.clone().into()]).with_disable_built_in_roots(true);
    let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(mariadb.port).user(Some(user)).pass(Some(password));
    Conn::new(opts.ssl_opts(tls).prefer_socket(false)).await.with_context(|| format!("`{user}` is not let in"))
}

/// What happens to the message at which a wire is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never gets it.
    Before,
    /// The server gets it, and its answer is lost.
    After,
}

/// A wire to the server that is cut at one message of the client's.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    sent: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Wire {
    /// A wire for one connection. The client waits for each answer, so each read is one message.
    pub(crate) async fn to(port: u16, cut_at: u32, cut: Cut) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let sent = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            let Ok((mut client, _)) = listener.accept().await else { return };
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let (mut there, mut back) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            loop {
                tokio::select! {
                    read = client.read(&mut there) => {
                        let Ok(read @ 1..) = read else { return };
                        let last = count.fetch_add(1, Ordering::SeqCst) + 1 == cut_at;
                        if last && cut == Cut::Before || server.write_all(&there[..read]).await.is_err() {
                            return;
                        }
                        if last {
                            // Once it has answered, it has done what it was told.
                            let _ = server.read(&mut back).await;
                            return;
                        }
                    }
                    read = server.read(&mut back) => {
                        let Ok(read @ 1..) = read else { return };
                        if client.write_all(&back[..read]).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Ok(Self { address, sent, task })
    }

    /// How many messages the client has sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}
