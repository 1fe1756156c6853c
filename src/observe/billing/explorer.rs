//! Cost Explorer behind [`Billing`].

use super::{
    super::{
        answer,
        rds::{Attempts, http},
    },
    read,
};
use crate::ports::{BillPage, BillQuestion, Billing, CloudError};
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_costexplorer::types::{DateInterval, Dimension, DimensionValues, Expression, Granularity, GroupDefinition, GroupDefinitionType};
use aws_smithy_http_client::proxy::ProxyConfig;
use futures::{FutureExt, future::BoxFuture};
use std::{fmt, sync::Arc, time::Duration};

/// Cost Explorer is there, whatever region is billed.
const REGION: &str = "us-east-1";
/// How long one request may take. A month by two groups takes AWS a few seconds.
const WITHIN: Duration = Duration::from_secs(45);
const CONNECT: Duration = Duration::from_secs(5);
const OPERATION: &str = "GetCostAndUsage";

/// Cost Explorer of the account that the credentials belong to.
pub struct CostExplorer {
    client: aws_sdk_costexplorer::Client,
    attempts: Arc<Attempts>,
}

impl fmt::Debug for CostExplorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CostExplorer").finish_non_exhaustive()
    }
}

impl CostExplorer {
    /// Finds credentials and endpoint by the SDK's own variables and files. Nothing is sent yet.
    pub async fn connect() -> Self {
        let region = aws_config::Region::new(REGION);
        let http = http(ProxyConfig::from_env());
        Self::over(&aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(http).load().await)
    }

    /// Uses a configuration that was made elsewhere.
    pub(super) fn over(shared: &SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(WITHIN).build();
        let config = aws_sdk_costexplorer::config::Builder::from(shared)
            .region(aws_sdk_costexplorer::config::Region::new(REGION))
            .timeout_config(timeouts)
            // Each request costs money: who asks again has to know.
            .retry_config(RetryConfig::disabled());
        Self { client: aws_sdk_costexplorer::Client::from_conf(config.build()), attempts: Arc::default() }
    }

    /// What was asked so far.
    #[must_use]
    pub fn attempts(&self) -> Arc<Attempts> {
        Arc::clone(&self.attempts)
    }

    async fn ask(&self, question: &BillQuestion, token: Option<&str>) -> Result<BillPage, CloudError> {
        let period = DateInterval::builder().start(question.from.to_string()).end(question.until.to_string()).build();
        let period = period.map_err(|error| super::super::rds::unsent(&error.to_string()))?;
        let by = |kind, key: &str| GroupDefinition::builder().r#type(kind).key(key).build();
        let account = DimensionValues::builder().key(Dimension::LinkedAccount).values(&*question.account).build();
        let call = self
            .client
            .get_cost_and_usage()
            .time_period(period)
            .filter(Expression::builder().dimensions(account).build())
            .granularity(Granularity::Daily)
            .metrics(read::METRIC)
            .group_by(by(GroupDefinitionType::Dimension, "SERVICE"))
            .group_by(by(GroupDefinitionType::Tag, &question.tag))
            .set_next_page_token(token.map(str::to_owned));
        let body = answer::ask(OPERATION, WITHIN, &self.attempts, |ear| call.customize().interceptor(ear).send()).await?;
        read::page(question, &body).map_err(CloudError::NotWhole)
    }
}

impl Billing for CostExplorer {
    fn page<'a>(&'a self, question: &'a BillQuestion, token: Option<&'a str>) -> BoxFuture<'a, Result<BillPage, CloudError>> {
        self.ask(question, token).boxed()
    }
}
