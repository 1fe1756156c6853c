//! `prices refresh` against the AWS endpoint: pages and a throttled call, what changed and what was not found; what it writes is a
//! policy file that takes the place of what is built in; the same day AWS is not asked again.

use crate::harness::{aws::Aws, install::Install, stage::Stage};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Output, sync::Arc};

const OPERATION: &str = "GetProducts";
const TARGET: &str = "AWSPriceListService.GetProducts";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::new(&stage, "prices").await?;
    install.govern("prices", &["prices"], "mode: audit")?;
    let (cache, book) = (install.file("cache"), install.policies().join("book.yaml"));
    aws.control("static", &list()).await?;
    aws.control("faults", &json!([{"op": OPERATION, "code": "ThrottlingException", "status": 400}])).await?;

    let first = refresh(&install, &aws, &cache, &book).await?;
    let told = String::from_utf8_lossy(&first.stderr).into_owned();
    ensure!(first.status.success() && first.stdout.is_empty(), "{}: {told}", first.status);
    for expected in [
        "rds-mysql db.t3.micro: 0.017 → 0.018 (+5.9 %)",
        "rds-mysql db.t3.small: the price list has no such product; 0.034 stands",
        "ec2-spot t3.large: is not in the price list; 0.0274 stands",
        "figures are what they were",
    ] {
        ensure!(told.contains(expected), "it does not say `{expected}`: {told}");
    }
    let policies = install.policies().to_string_lossy().into_owned();
    install.person(&["policy", "lint", &policies]).await?;
    let printed: Value = serde_json::from_str(&install.person(&["prices", "--policies", &policies, "-o", "json"]).await?)?;
    let figure = |of: &str, name: &str| {
        let rows = printed.as_array().into_iter().flatten();
        let row = rows.into_iter().find(|row| row["of"] == of && row["name"] == name).with_context(|| format!("no {of} {name}"))?;
        anyhow::Ok((row["usd"].as_str().unwrap_or_default().to_owned(), row["source"].as_str().unwrap_or_default().contains("api.pricing")))
    };
    ensure!(figure("rds-mysql", "db.t3.micro")? == ("0.018".to_owned(), true), "{printed}");
    ensure!(figure("rds-mysql", "db.t3.small")? == ("0.034".to_owned(), false), "{printed}");
    ensure!(figure("eks", "control-plane")?.1, "{printed}");

    let asked = aws.asked(OPERATION).await?;
    let written = fs::read_to_string(&book)?;
    let second = refresh(&install, &aws, &cache, &book).await?;
    ensure!(second.status.success() && aws.asked(OPERATION).await? == asked, "AWS was asked again on the same day");
    ensure!(fs::read_to_string(&book)? == written, "the second time it writes something else");

    // Refused: nothing is written, and the old file stays.
    aws.control("faults", &json!([{"op": OPERATION, "code": "AccessDeniedException", "status": 400, "times": -1}])).await?;
    let refused = refresh(&install, &aws, &install.file("empty"), &book).await?;
    let told = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(1) && told.contains("AccessDeniedException"), "{}: {told}", refused.status);
    ensure!(fs::read_to_string(&book)? == written, "the file was touched");
    Ok(format!("{asked} requests"))
}

async fn refresh(install: &Install, aws: &Aws, cache: &Path, book: &Path) -> Result<Output> {
    let mut command = install.command_with_aws(aws);
    command.args(["prices", "refresh", "--cache"]).arg(cache).arg("--output").arg(book);
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// One database, on the second page behind one that is merely like it, and the control plane.
fn list() -> Value {
    let micro = |usage: &str, usd: &str| {
        let attributes = json!({
            "regionCode": "us-east-1", "instanceType": "db.t3.micro", "databaseEngine": "MySQL", "deploymentOption": "Single-AZ", "usagetype": usage,
        });
        product(&attributes, usd)
    };
    let eks = product(&json!({"regionCode": "us-east-1", "usagetype": "USE1-AmazonEKS-Hours:perCluster"}), "0.1000000000");
    json!({TARGET: [
        {"match": "\"NextToken\":\"more\"", "answer": {"FormatVersion": "aws_v1", "PriceList": [micro("InstanceUsage:db.t3.micro", "0.0180000000")]}},
        {"match": "\"db.t3.micro\"", "answer": {"FormatVersion": "aws_v1", "PriceList": [micro("InstanceUsageIOOptimized:db.t3.micro", "0.9")], "NextToken": "more"}},
        {"match": "\"AmazonEKS\"", "answer": {"FormatVersion": "aws_v1", "PriceList": [eks]}},
        {"answer": {"FormatVersion": "aws_v1", "PriceList": []}},
    ]})
}

fn product(attributes: &Value, usd: &str) -> String {
    json!({
        "product": {"sku": "SKU", "attributes": attributes},
        "terms": {"OnDemand": {"SKU.T": {"priceDimensions": {"SKU.T.D": {
            "unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": usd},
        }}}}},
    })
    .to_string()
}
