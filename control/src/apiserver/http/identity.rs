//! Who the server is, and how it knows its clients: a certificate authority and a token, made on
//! the first start and kept in the data directory.
//!
//! The server's own certificate is made anew at each start, so that it always names the addresses
//! of today; clients trust the authority. Its key is never on disk.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use thiserror::Error;
use tokio_rustls::rustls::{
    self, ServerConfig,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use uuid::Uuid;

/// Key and certificate of the authority, in this order.
const AUTHORITY_FILE: &str = "authority.pem";
/// What clients prove themselves with.
const TOKEN_FILE: &str = "token";
/// Names of the server, beside addresses.
const NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// Why the server cannot identify itself.
#[derive(Debug, Error)]
pub(crate) enum IdentityError {
    /// A file of the data directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It was there, and makes no sense.
    #[error("{} is damaged: {cause}; without it, the server makes a new one, and kubeconfigs of before are refused", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS refuses what was made.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// What is kept over restarts.
#[derive(Clone)]
pub(crate) struct Identity {
    authority_key: Arc<KeyPair>,
    authority_certificate: String,
    token: String,
}

impl Identity {
    /// Reads it, or makes it.
    ///
    /// # Errors
    /// Files that cannot be read or written, or that are damaged.
    pub(crate) fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        let authority = kept(&directory.join(AUTHORITY_FILE), new_authority)?;
        let (authority_key, authority_certificate) =
            read_authority(&authority).map_err(|cause| IdentityError::Damaged {
                path: directory.join(AUTHORITY_FILE),
                cause,
            })?;
        let token = kept(&directory.join(TOKEN_FILE), || Ok(new_token()))?;
        let token = token.trim().to_owned();
        if token.len() < 32 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let cause = "no token of at least 32 letters and digits".to_owned();
            return Err(IdentityError::Damaged { path: directory.join(TOKEN_FILE), cause });
        }
        Ok(Self { authority_key: Arc::new(authority_key), authority_certificate, token })
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn authority_certificate(&self) -> &str {
        &self.authority_certificate
    }

    /// What a client says after `Authorization: Bearer`.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// TLS for a server that is reached at loopback addresses, at [`NAMES`] and at these.
    ///
    /// # Errors
    /// None that depends on a client.
    pub(crate) fn server(&self, addresses: &[IpAddr]) -> Result<ServerConfig, IdentityError> {
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(authority_params(), &*self.authority_key);
        let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        let mut all: Vec<IpAddr> = loopback.iter().chain(addresses).copied().collect();
        all.sort();
        all.dedup();
        params.subject_alt_names.extend(all.into_iter().map(SanType::IpAddress));
        params.distinguished_name.push(DnType::CommonName, "maglane");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) =
            (date_time_ymd(2000, 1, 1), date_time_ymd(2100, 1, 1));
        let certificate = params.signed_by(&key, &issuer)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The same at each start: an issuer is known by its name and its key.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "maglane-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    // It is trusted by those who were given it and lives as long as its directory; a machine that
    // has just been switched on may not know the date.
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2100, 1, 1));
    params
}

fn new_authority() -> Result<String, IdentityError> {
    let key = KeyPair::generate()?;
    let certificate = authority_params().self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Key, and certificate as PEM.
fn read_authority(text: &str) -> Result<(KeyPair, String), String> {
    let key = KeyPair::from_pem(text).map_err(|error| error.to_string())?;
    CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| error.to_string())?;
    let start = text.find("-----BEGIN CERTIFICATE-----").ok_or("no certificate")?;
    Ok((key, text[start..].to_owned()))
}

/// 244 random bits.
fn new_token() -> String {
    format!("{}{}\n", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// The file's text; what `make` makes, when there is no such file.
fn kept(
    path: &Path,
    make: impl FnOnce() -> Result<String, IdentityError>,
) -> Result<String, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make()?;
            write_secret(path, &text)?;
            Ok(text)
        }
        Err(cause) => Err(IdentityError::File { action: "read", path: path.to_owned(), cause }),
    }
}

/// Writes a file that only its owner reads; others see the old one or the whole new one, also after
/// a power cut.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), IdentityError> {
    let write = || -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        // One that was left behind keeps its mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|cause| IdentityError::File { action: "write", path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let first = Identity::load_or_create(directory.path()).unwrap();
        let second = Identity::load_or_create(directory.path()).unwrap();
        assert_eq!(first.token(), second.token());
        assert_eq!(first.authority_certificate(), second.authority_certificate());
        for file in [AUTHORITY_FILE, TOKEN_FILE] {
            let mode = fs::metadata(directory.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn differs_between_directories() {
        let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let one = Identity::load_or_create(one.path()).unwrap();
        let other = Identity::load_or_create(other.path()).unwrap();
        assert_ne!(one.token(), other.token());
        assert_ne!(one.authority_certificate(), other.authority_certificate());
    }

    #[test]
    fn damage_is_reported_not_repaired() {
        for file in [AUTHORITY_FILE, TOKEN_FILE] {
            let directory = tempfile::tempdir().unwrap();
            Identity::load_or_create(directory.path()).unwrap();
            fs::write(directory.path().join(file), "half of it").unwrap();
            let error = Identity::load_or_create(directory.path()).err().unwrap();
            assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(file), "{error}");
            assert_eq!(fs::read_to_string(directory.path().join(file)).unwrap(), "half of it");
        }
    }
}
