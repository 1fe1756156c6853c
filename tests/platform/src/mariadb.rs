//! The database server that plays the shared hosts: its certificate, its accounts, and how a test talks to it.
//!
//! `admin` has the rights that docs/schemas.md gives the daemon, and no others; `root` is for what only the owner of a host can do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, KeyPair, SanType};

use crate::attach::Platform;
use crate::kubeconfig::write_private;

/// The account of the daemon.
const ADMIN: &str = "clonewarden";

/// Writes the certificate that the server shows and is trusted by, and what it does before it listens.
pub(crate) fn write_files(dir: &Path, admin: &str, root: &str) -> Result<()> {
    let key = KeyPair::generate().context("cannot make the key of the database server")?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).context("cannot make a certificate")?;
    params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()));
    let certificate = params.self_signed(&key).context("cannot sign the certificate of the database server")?;
    write_private(&dir.join("mariadb.crt"), certificate.pem().as_bytes())?;
    write_private(&dir.join("mariadb.key"), key.serialize_pem().as_bytes())?;
    let host = dir.join("mariadb-admin");
    fs::create_dir(&host).with_context(|| format!("cannot make {}", host.display()))?;
    write_private(&host.join("username"), ADMIN.as_bytes())?;
    write_private(&host.join("password"), admin.as_bytes())?;
    write_private(&dir.join("mariadb-root"), root.as_bytes())?;
    // Run at every start, so each statement may be repeated.
    let rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, CREATE VIEW, \
                  SHOW VIEW, TRIGGER";
    let init = format!(
        "CREATE USER IF NOT EXISTS root@'127.0.0.1';\nALTER USER root@'127.0.0.1' IDENTIFIED BY '{root}';\n\
         GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n\
         CREATE USER IF NOT EXISTS {ADMIN}@'%';\nALTER USER {ADMIN}@'%' IDENTIFIED BY '{admin}' REQUIRE SSL;\n\
         GRANT CREATE USER, PROCESS, SHOW DATABASES, CONNECTION ADMIN ON *.* TO {ADMIN}@'%';\n\
         GRANT SELECT ON mysql.* TO {ADMIN}@'%';\n\
         GRANT SELECT ON performance_schema.* TO {ADMIN}@'%';\n\
         GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON clonewarden.* TO {ADMIN}@'%';\n\
         GRANT {rights} ON `wp\\_%`.* TO {ADMIN}@'%' WITH GRANT OPTION;\n"
    );
    write_private(&dir.join("mariadb.sql"), init.as_bytes())
}

/// The database server, as a test sees it.
#[derive(Debug, Clone)]
pub struct MariaDb {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The certificate that it is to be trusted by.
    pub ca: PathBuf,
    /// The files `username` and `password` of the daemon's account.
    pub credentials: PathBuf,
    root: String,
}

impl MariaDb {
    pub(crate) fn attach(platform: &Platform) -> Result<Self> {
        let dir = platform.dir();
        let port = platform.part("mariadb")?.port.context("parts.json gives mariadb no port")?;
        let root = fs::read_to_string(dir.join("mariadb-root")).context("cannot read the password of root")?;
        Ok(Self { port, ca: dir.join("mariadb.crt"), credentials: dir.join("mariadb-admin"), root })
    }

    /// Runs statements as the owner of the server; returns what they printed, tab-separated, without headings.
    ///
    /// # Errors
    /// With the server's own words.
    pub fn sql(&self, statements: &str) -> Result<String> {
        self.sql_as("root", &self.root, statements)
    }

    /// The same as another user.
    ///
    /// # Errors
    /// With the server's own words: `ERROR 1045 …` where it does not let the user in.
    pub fn sql_as(&self, user: &str, password: &str, statements: &str) -> Result<String> {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--host=127.0.0.1", "--batch", "--skip-column-names", "--connect-timeout=5"])
            .arg(format!("--port={}", self.port))
            .arg(format!("--ssl-ca={}", self.ca.display()))
            .arg(format!("--user={user}"))
            .arg(format!("--execute={statements}"))
            .env("MYSQL_PWD", password)
            .output()
            .context("cannot run `mariadb`: apt-get install mariadb-client")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        String::from_utf8(output.stdout).context("mariadb printed something that is not text")
    }
}
