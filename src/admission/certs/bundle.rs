//! What our Secret holds: CAs, newest first, the keys of those that still sign, and one serving certificate.
//!
//! Reading is total: what cannot be read is not there, and [`super::rotation`] decides what to make anew. A key counts only if
//! it is the one of a CA that was made here, a serving certificate only if key and chain fit together and a CA of the bundle
//! has signed it.

use super::{
    CA, CERTIFICATE, KEY, Material,
    identity::fits,
    issue,
    names::Names,
    rotation::{Authority, Served, Step, View},
    x509::{self, Flaw, Validity},
};
use jiff::Timestamp;
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// The key of the CAs' private keys. Several while one CA takes over from another: both can still sign then.
const CA_KEYS: &str = "ca.key";
/// The most CAs that are trusted at once: the newest, the one whose certificate is served, and two that replicas which could
/// not read for a while may still use. Without a bound, a Secret whose key is lost again and again would grow for ever.
const MOST: usize = 4;

/// Part of a Secret, taken apart.
#[derive(Clone, Default)]
pub(super) struct Bundle {
    cas: Vec<Authorised>,
    serving: Option<Serving>,
}

#[derive(Clone)]
struct Authorised {
    certificate: CertificateDer<'static>,
    key: Option<Arc<PrivateKeyDer<'static>>>,
    dates: Validity,
    id: String,
}

#[derive(Clone)]
struct Serving {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    dates: Validity,
    by: String,
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("cas", &self.cas.len()).field("serving", &self.serving.is_some()).finish_non_exhaustive()
    }
}

impl Bundle {
    /// Takes apart what a Secret holds.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Self {
        let part = |name: &str| data.get(name).map(Vec::as_slice).unwrap_or_default();
        let keys: Vec<_> = x509::keys(part(CA_KEYS)).into_iter().map(Arc::new).collect();
        let cas = x509::certificates(part(CA), CA).unwrap_or_default();
        let cas = cas.into_iter().filter_map(|certificate| {
            let dates = x509::validity(&certificate)?;
            let key = keys.iter().find(|key| issue::is_ours(&certificate, key)).cloned();
            Some(Authorised { id: x509::fingerprint(&certificate), certificate, key, dates })
        });
        let mut bundle = Self { cas: cas.collect(), serving: None };
        bundle.serving = bundle.read_serving(part(CERTIFICATE), part(KEY), now);
        bundle
    }

    fn read_serving(&self, certificate: &[u8], key: &[u8], now: Timestamp) -> Option<Serving> {
        let chain = x509::certificates(certificate, CERTIFICATE).ok()?;
        let key = x509::keys(key).into_iter().next()?;
        fits(&chain, &key, &ring::default_provider()).ok()?;
        let dates = x509::validity(chain.first()?)?;
        // Who signed it does not depend on whether it has ended meanwhile.
        let at = now.clamp(dates.from, dates.to.max(dates.from));
        let by = self.cas.iter().find(|ca| x509::vouching(&chain, std::slice::from_ref(&ca.certificate), at).is_ok())?;
        Some(Serving { by: by.id.clone(), chain, key: Arc::new(key), dates })
    }

    /// What is decided by.
    pub(super) fn view(&self, names: &Names) -> View {
        let authority = |ca: &Authorised| Authority { id: ca.id.clone(), dates: ca.dates, signs: ca.key.is_some() };
        let served = |serving: &Serving| Served {
            by: serving.by.clone(),
            dates: serving.dates,
            named: serving.chain.first().is_some_and(|first| names.iter().all(|name| x509::is_named(first, name))),
        };
        View { cas: self.cas.iter().map(authority).collect(), serving: self.serving.as_ref().map(served) }
    }

    /// This bundle, completed by what is in use but was lost from it: the certificate that is served, and the CAs that it and
    /// those of other replicas need to be trusted. Keys of CAs do not come back: whoever deleted them meant it.
    pub(super) fn completed_by(mut self, used: &Self) -> Self {
        for ca in &used.cas {
            if !self.cas.iter().any(|known| known.id == ca.id) {
                self.cas.push(Authorised { key: None, ..ca.clone() });
            }
        }
        if self.serving.is_none() {
            self.serving.clone_from(&used.serving);
        }
        self
    }

    /// This bundle after a step; `None`: the step changes nothing.
    pub(super) fn after(&self, step: Step, names: &Names, now: Timestamp) -> Result<Option<Self>, Flaw> {
        let mut next = self.clone();
        match step {
            Step::Keep => return Ok(None),
            Step::IssueServing { by } => {
                next.issue(by, names, now)?;
                if by == 0 {
                    // What has handed over signs nothing any more.
                    next.cas.iter_mut().skip(1).for_each(|ca| ca.key = None);
                }
            }
            Step::NewCa { serving_too } => {
                let issue::Issued { certificate, key } = issue::ca(now)?;
                let dates = x509::validity(&certificate).ok_or_else(|| Flaw::new("a new CA cannot be read"))?;
                next.cas.insert(0, Authorised { id: x509::fingerprint(&certificate), certificate, key: Some(Arc::new(key)), dates });
                next.trim();
                if serving_too {
                    next.issue(0, names, now)?;
                }
            }
            Step::Forget { only } => next.cas.retain(|ca| only.contains(&ca.id)),
        }
        Ok(Some(next))
    }

    fn issue(&mut self, by: usize, names: &Names, now: Timestamp) -> Result<(), Flaw> {
        let ca = self.cas.get(by).ok_or_else(|| Flaw::new("there is no such CA"))?;
        let key = ca.key.as_ref().ok_or_else(|| Flaw::new("the key of the CA is lost"))?;
        let issue::Issued { certificate, key } = issue::serving(key, ca.dates, names, now)?;
        let dates = x509::validity(&certificate).ok_or_else(|| Flaw::new("a new certificate cannot be read"))?;
        self.serving = Some(Serving { by: ca.id.clone(), chain: vec![certificate], key: Arc::new(key), dates });
        Ok(())
    }

    /// Lets the oldest CAs go where there are too many, but not the one whose certificate is served.
    fn trim(&mut self) {
        while self.cas.len() > MOST {
            let served = self.serving.as_ref().map(|serving| &serving.by);
            let Some(oldest) = self.cas.iter().rposition(|ca| Some(&ca.id) != served) else { return };
            self.cas.remove(oldest);
        }
    }

    /// The parts of the identity that it stands for.
    pub(super) fn material(&self) -> Option<Material> {
        let serving = self.serving.as_ref()?;
        let kind = match &*serving.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        Some(Material {
            ca: x509::encode("CERTIFICATE", self.cas.iter().map(|ca| ca.certificate.as_ref())).into_bytes(),
            certificate: x509::encode("CERTIFICATE", serving.chain.iter().map(AsRef::as_ref)).into_bytes(),
            key: x509::encode(kind, [serving.key.secret_der()]).into_bytes(),
        })
    }

    /// What is to be written into the Secret; `None`: there is nothing that could be served.
    pub(super) fn data(&self) -> Option<BTreeMap<String, Vec<u8>>> {
        let Material { ca, certificate, key } = self.material()?;
        let keys = self.cas.iter().filter_map(|ca| ca.key.as_deref()).map(PrivateKeyDer::secret_der);
        let keys = x509::encode("PRIVATE KEY", keys).into_bytes();
        let parts = [(CA, ca), (CA_KEYS, keys), (CERTIFICATE, certificate), (KEY, key)];
        Some(parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect())
    }
}
