//! Whose AWS this is. Credentials may come to belong to another account while the process runs: then nothing counts.

use super::{RdsCloud, call::Witness, table::taken};
use crate::ports::CloudError;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long an account that was asked for is believed: about one sweep. Every ARN is compared with it besides.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// The account that this process is about.
#[derive(Debug)]
pub(super) struct Account {
    /// What it must be, if that was said.
    told: Option<String>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The first that AWS said.
    first: Option<String>,
    /// When AWS last said that it is still that one.
    checked: Option<Instant>,
}

impl Account {
    pub(super) fn new(told: Option<String>) -> Self {
        Self { told, known: Mutex::default() }
    }

    /// The account, if AWS said so a short while ago.
    pub(super) fn fresh(&self) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.checked.filter(|checked| checked.elapsed() < FRESH).and_then(|_| known.first.clone())
    }

    /// Takes what AWS says now.
    pub(super) fn said(&self, account: &str) -> Result<(), CloudError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = match (&self.told, &known.first) {
            (Some(told), _) if told != account => Some(format!("the credentials belong to account {account}, not to {told} (`--aws-account`)")),
            (_, Some(first)) if first != account => Some(format!("the credentials belong to account {account}; before, they belonged to {first}")),
            _ => None,
        };
        if let Some(wrong) = wrong {
            known.checked = None;
            return Err(CloudError::Elsewhere(wrong));
        }
        known.first = Some(account.to_owned());
        known.checked = Some(Instant::now());
        Ok(())
    }
}

impl RdsCloud {
    /// The account that the credentials belong to.
    ///
    /// # Errors
    /// It is another one than the one that was said, or than the first one ([`CloudError::Elsewhere`]); or it cannot be known.
    pub async fn check_account(&self) -> Result<String, CloudError> {
        if let Some(account) = self.account.fresh() {
            return Ok(account);
        }
        let call = self.sts.get_caller_identity();
        let (output, answer) = self.line.ask("GetCallerIdentity", |witness: Witness| call.customize().interceptor(witness).send()).await?;
        let result = taken(answer, "GetCallerIdentityResult").map_err(CloudError::NotWhole)?;
        let account = result.text("Account").map_err(CloudError::NotWhole)?.unwrap_or_default();
        let valid = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && output.account() == Some(account);
        if !valid {
            return Err(CloudError::NotWhole("it names no account".to_owned()));
        }
        self.account.said(account)?;
        Ok(account.to_owned())
    }
}
