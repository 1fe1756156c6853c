//! AWS' price list: what it answers to a question, page by page, kept for the day in a folder of files.
//!
//! Contract: the offer files, of which EC2's alone has 400 MB, are never fetched: AWS filters, and hands out the few products that are
//! asked for. An answer is whole or an error, and only whole answers are kept.

use super::{
    answer,
    rds::{Attempts, http, unsent},
};
use crate::{
    cost::listing::{Product, Query},
    ports::CloudError,
};
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_pricing::types::{Filter, FilterType};
use aws_smithy_http_client::proxy::ProxyConfig;
use jiff::civil::Date;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::{
    collections::HashSet,
    fmt, fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the price list can be asked, which has nothing to do with the regions that it tells of.
const REGION: &str = "us-east-1";
/// The same as an address, for whoever wants to know where a figure is from.
pub const SOURCE: &str = "https://api.pricing.us-east-1.amazonaws.com";
/// How long a request may take, with those that repeat it.
const WITHIN: Duration = Duration::from_secs(60);
const ATTEMPT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// The most pages of an answer. A question here is about one thing, or a few dozen.
const PAGES: usize = 20;
const OPERATION: &str = "GetProducts";

/// The price list.
pub struct PriceList {
    client: aws_sdk_pricing::Client,
    attempts: Attempts,
    cache: Option<PathBuf>,
    today: Date,
}

impl fmt::Debug for PriceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriceList").field("cache", &self.cache).field("today", &self.today).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    price_list: Vec<String>,
    #[serde(default)]
    next_token: Option<String>,
}

impl PriceList {
    /// Finds credentials and endpoint by the SDK's own variables and files. Nothing is sent yet. Answers are kept in `cache`, if there
    /// is one, and hold on the day `today`.
    pub async fn connect(cache: Option<PathBuf>, today: Date) -> Self {
        let region = aws_config::Region::new(REGION);
        let http = http(ProxyConfig::from_env());
        Self::over(&aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(http).load().await, cache, today)
    }

    fn over(shared: &SdkConfig, cache: Option<PathBuf>, today: Date) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
        let config = aws_sdk_pricing::config::Builder::from(shared)
            .region(aws_sdk_pricing::config::Region::new(REGION))
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(4));
        Self { client: aws_sdk_pricing::Client::from_conf(config.build()), attempts: Attempts::default(), cache, today }
    }

    /// Every product that a question is about.
    ///
    /// # Errors
    /// AWS does not answer, refuses, or the answer is not whole. That nothing can be kept is no error: it is asked anew.
    pub async fn products(&self, query: &Query) -> Result<Vec<Product>, CloudError> {
        let kept = self.cache.as_ref().map(|folder| folder.join(file_name(query, self.today)));
        if let Some(products) = kept.as_deref().and_then(kept_in) {
            return Ok(products);
        }
        let (mut texts, mut token, mut tokens) = (Vec::new(), None, HashSet::new());
        for _ in 0..PAGES {
            let page = self.page(query, token.take()).await?;
            texts.extend(page.price_list);
            let Some(next) = page.next_token else {
                let products = read(&texts).map_err(CloudError::NotWhole)?;
                if let Some(path) = kept {
                    keep(&path, &texts);
                }
                return Ok(products);
            };
            if next.is_empty() || !tokens.insert(next.clone()) {
                return Err(CloudError::NotWhole("its pages go in a circle".to_owned()));
            }
            token = Some(next);
        }
        Err(CloudError::NotWhole("it has too many pages".to_owned()))
    }

    async fn page(&self, query: &Query, token: Option<String>) -> Result<Page, CloudError> {
        let filter = |(field, value): &(&str, String)| Filter::builder().r#type(FilterType::TermMatch).field(*field).value(value).build();
        let filters: Result<Vec<Filter>, _> = query.filters.iter().map(filter).collect();
        let filters = filters.map_err(|error| unsent(&error.to_string()))?;
        let call = self.client.get_products().service_code(query.service).format_version("aws_v1");
        let call = call.set_filters(Some(filters)).set_next_token(token);
        let body = answer::ask(OPERATION, WITHIN, &self.attempts, |ear| call.customize().interceptor(ear).send()).await?;
        serde_json::from_slice(&body).map_err(|error| CloudError::NotWhole(error.to_string()))
    }
}

fn read(texts: &[String]) -> Result<Vec<Product>, String> {
    texts.iter().map(|text| Product::read(text)).collect()
}

/// One file for a question and a day.
fn file_name(query: &Query, today: Date) -> String {
    let mut digest = Sha256::new();
    digest.update(query.service);
    for (field, value) in &query.filters {
        // Neither may pass for a part of the other.
        digest.update(format!("\n{}:{field}={}:{value}", field.len(), value.len()));
    }
    let digest: String = digest.finalize().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("{today}-{}-{digest}.json", query.service)
}

/// What was kept; `None` where nothing was, or what is there cannot be read.
fn kept_in(path: &Path) -> Option<Vec<Product>> {
    let texts: Vec<String> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    read(&texts).ok()
}

/// Keeps an answer, if that is possible. Whoever reads it meanwhile sees all of it or nothing.
fn keep(path: &Path, texts: &[String]) {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let written = serde_json::to_vec(texts).map_err(std::io::Error::other).and_then(|bytes| {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&new, bytes)?;
        fs::rename(&new, path)
    });
    if let Err(error) = written {
        tracing::info!(path = %path.display(), %error, "An answer of the price list could not be kept.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_a_file_for_each_day() {
        let day = |text: &str| text.parse().unwrap();
        let query = |filters: &[(&'static str, &str)]| Query {
            service: "AmazonRDS",
            filters: filters.iter().map(|(field, value)| (*field, (*value).to_owned())).collect(),
        };
        let one = query(&[("a", "b"), ("c", "d")]);
        let name = file_name(&one, day("2026-11-28"));
        assert!(name.starts_with("2026-11-28-AmazonRDS-") && name.ends_with(".json"), "{name}");
        assert_ne!(name, file_name(&one, day("2026-11-29")));
        assert_ne!(name, file_name(&query(&[("a", "b\n1:c=1:d")]), day("2026-11-28")));
    }

    #[test]
    fn what_is_kept_is_read_again_and_what_is_broken_is_not() {
        let folder = std::env::temp_dir().join(format!("clonewarden-prices-{}", std::process::id()));
        let path = folder.join("deeper/x.json");
        assert_eq!(kept_in(&path), None);
        let text = r#"{"product": {"sku": "x", "attributes": {"usagetype": "u"}}, "terms": {}}"#.to_owned();
        keep(&path, std::slice::from_ref(&text));
        assert_eq!(kept_in(&path), Some(vec![Product::read(&text).unwrap()]));
        fs::write(&path, "[\"{}\"]").unwrap();
        assert_eq!(kept_in(&path), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
