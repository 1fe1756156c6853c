//! What a thing costs an hour, in its parts, by the price book.

use super::book::{PriceBook, Table};
use crate::model::{cloud::CloudResource, evidence::CloudList, month::Costs};
use rust_decimal::Decimal;

/// The hours of a month by which AWS turns monthly prices into hourly ones.
pub const HOURS_A_MONTH: Decimal = Decimal::from_parts(730, 0, 0, false, 0);
/// The seconds of an hour.
pub const SECONDS_AN_HOUR: Decimal = Decimal::from_parts(3_600, 0, 0, false, 0);

/// What is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// That an instance runs.
    Instance,
    /// The capacity that a serverless database takes.
    Capacity,
    /// A schema's share of a shared host.
    Host,
    /// What it stores.
    Storage,
    /// What a snapshot stores.
    Backup,
    /// The share of the nodes that is asked for.
    Compute,
    /// A part of what the platform costs whether or not a clone lives.
    Fixed,
}

impl Part {
    /// The word for it in metrics and in text.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Capacity => "capacity",
            Self::Host => "host",
            Self::Storage => "storage",
            Self::Backup => "backup",
            Self::Compute => "compute",
            Self::Fixed => "fixed",
        }
    }
}

/// What one thing costs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rate {
    parts: Vec<(Part, Decimal)>,
    /// What it may cost more than its parts say, USD an hour: a serverless database counts at its least.
    pub beyond: Decimal,
    /// What has no price, and is counted as nothing.
    pub unpriced: Vec<String>,
}

impl Rate {
    /// A rate of these parts, USD an hour each.
    #[must_use]
    pub fn of(parts: Vec<(Part, Decimal)>) -> Self {
        Self { parts, ..Self::default() }
    }

    /// USD an hour, each part by itself.
    #[must_use]
    pub fn parts(&self) -> &[(Part, Decimal)] {
        &self.parts
    }

    /// One more part; `None`: it has no price, in these words.
    pub fn add(&mut self, part: Part, usd: Option<Decimal>, unpriced: impl FnOnce() -> String) {
        match usd {
            Some(usd) => self.parts.push((part, usd)),
            None => self.unpriced.push(unpriced()),
        }
    }

    /// USD an hour, rounded to six places.
    #[must_use]
    pub fn per_hour(&self) -> Decimal {
        self.parts.iter().fold(Decimal::ZERO, |sum, (_, usd)| sum.saturating_add(*usd)).round_dp(6).normalize()
    }

    /// USD an hour at most, rounded to six places: what a budget has to count with.
    #[must_use]
    pub fn at_most_per_hour(&self) -> Decimal {
        self.per_hour().saturating_add(self.beyond).round_dp(6).normalize()
    }

    /// USD a second, by what a ledger tells apart. To a millionth of a millionth: whole seconds of it add up exactly, however time is cut.
    #[must_use]
    pub fn per_second(&self) -> Costs {
        let of = |wanted: &[Part]| {
            let parts = self.parts.iter().filter(|(part, _)| wanted.contains(part));
            let hour = parts.fold(Decimal::ZERO, |sum, (_, usd)| sum.saturating_add(*usd));
            hour.checked_div(SECONDS_AN_HOUR).unwrap_or_default().round_dp(12)
        };
        Costs::of(of(&[Part::Instance, Part::Capacity, Part::Host]), of(&[Part::Storage, Part::Backup]), of(&[Part::Compute]), of(&[Part::Fixed]))
    }
}

/// What a resource in AWS costs; `None` where the book has no price for it. An Aurora Serverless v2 cluster counts at its least
/// capacity, a snapshot at the whole size of its database: AWS bills what is stored, which it does not tell. A stopped instance is
/// billed for its storage alone (RDS User Guide, "On-Demand DB instances").
#[must_use]
pub fn of_resource(book: &PriceBook, resource: &CloudResource) -> Option<Rate> {
    let size = &resource.size;
    let usd = |table, name: &str| book.usd(&resource.region, table, name);
    let stored = |price: Decimal| Decimal::from(size.storage_gib?).checked_mul(price)?.checked_div(HOURS_A_MONTH);
    let aurora = size.engine.as_deref().is_some_and(|engine| engine.starts_with("aurora"));
    let parts = match resource.list {
        CloudList::Instances if size.class.as_deref() == Some("db.serverless") => Vec::new(),
        CloudList::Instances if aurora => vec![(Part::Instance, usd(Table::AuroraMysql, size.class.as_deref()?)?)],
        CloudList::Instances => {
            let twice = if size.multi_az { Decimal::TWO } else { Decimal::ONE };
            let runs = usd(Table::RdsMysql, size.class.as_deref()?)?;
            let storage = usd(Table::RdsStorage, size.storage_type.as_deref().unwrap_or("gp3")).and_then(stored).unwrap_or_default();
            let runs = (resource.status != "stopped").then_some((Part::Instance, runs));
            let all = runs.into_iter().chain([(Part::Storage, storage)]);
            all.map(|(part, one)| Some((part, one.checked_mul(twice)?))).collect::<Option<_>>()?
        }
        CloudList::Clusters => {
            let least = Decimal::new(size.least_milli_acu?.into(), 3);
            vec![(Part::Capacity, least.checked_mul(usd(Table::AuroraMysql, "acu")?)?)]
        }
        CloudList::Snapshots => vec![(Part::Backup, stored(usd(Table::RdsBackup, "rds")?)?)],
        CloudList::ClusterSnapshots => vec![(Part::Backup, stored(usd(Table::RdsBackup, "aurora")?)?)],
    };
    Some(Rate::of(parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::prices;
    use serde_json::json;

    fn resource(list: CloudList, more: &serde_json::Value) -> CloudResource {
        let mut object = json!({
            "DBInstanceIdentifier": "x", "DBInstanceArn": "arn:aws:rds:us-east-1:1:db:x", "DBClusterIdentifier": "x",
            "DBClusterArn": "arn:aws:rds:us-east-1:1:cluster:x", "DBSnapshotIdentifier": "x", "DBSnapshotArn": "arn:aws:rds:us-east-1:1:snapshot:x",
            "DBClusterSnapshotIdentifier": "x", "DBClusterSnapshotArn": "arn:aws:rds:us-east-1:1:cluster-snapshot:x",
        });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        CloudResource::read(list, &object).unwrap()
    }

    fn cost(list: CloudList, more: &serde_json::Value) -> Option<String> {
        of_resource(&prices::built_in(), &resource(list, more)).map(|rate| rate.per_hour().to_string())
    }

    #[test]
    fn a_database_costs_what_runs_and_what_it_stores() {
        let small = json!({"DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, "DBInstanceStatus": "available"});
        // 0.017 + 20 × 0.115 / 730.
        assert_eq!(cost(CloudList::Instances, &small).as_deref(), Some("0.020151"));
        let with = |key: &str, value: serde_json::Value| {
            let mut more = small.clone();
            more[key] = value;
            more
        };
        assert_eq!(cost(CloudList::Instances, &with("MultiAZ", json!(true))).as_deref(), Some("0.040301"));
        assert_eq!(cost(CloudList::Instances, &with("DBInstanceStatus", json!("stopped"))).as_deref(), Some("0.003151"));
        assert_eq!(cost(CloudList::Instances, &with("DBInstanceClass", json!("db.unheard-of"))), None);
        let reader = json!({"DBInstanceClass": "db.t3.medium", "Engine": "aurora-mysql", "AllocatedStorage": 1});
        assert_eq!(cost(CloudList::Instances, &reader).as_deref(), Some("0.082"), "Aurora has prices of its own, and its storage is the cluster's");
        let serverless = json!({"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4.0}});
        assert_eq!(cost(CloudList::Clusters, &serverless).as_deref(), Some("0.06"));
        assert_eq!(cost(CloudList::Instances, &json!({"DBInstanceClass": "db.serverless"})).as_deref(), Some("0"));
        assert_eq!(cost(CloudList::Snapshots, &json!({"AllocatedStorage": 20})).as_deref(), Some("0.002603"));
        assert_eq!(cost(CloudList::ClusterSnapshots, &json!({"AllocatedStorage": 20})).as_deref(), Some("0.000575"));
    }

    #[test]
    fn what_another_region_asks_for_is_not_guessed() {
        let mut elsewhere = resource(CloudList::Instances, &json!({"DBInstanceClass": "db.t3.micro"}));
        elsewhere.region = "eu-west-1".into();
        assert_eq!(of_resource(&prices::built_in(), &elsewhere), None);
    }

    /// The tables of the original design, a month of 730 hours each; where the book says otherwise, by how much and why.
    #[test]
    fn the_book_and_the_original_design_agree_but_for_what_is_said_here() {
        let book = prices::built_in();
        let month = |table, name: &str, count: u32| {
            let hour = book.usd("us-east-1", table, name).unwrap();
            hour * HOURS_A_MONTH * Decimal::from(count)
        };
        let clones = |count: u32| {
            let one = json!({"DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, "StorageType": "gp3"});
            let rate = of_resource(&book, &resource(CloudList::Instances, &one)).unwrap();
            rate.parts().iter().map(|(_, usd)| *usd).sum::<Decimal>() * HOURS_A_MONTH * Decimal::from(count)
        };
        let alb = month(Table::Alb, "load-balancer", 1) + month(Table::Alb, "lcu", 1);
        for (what, ours, theirs, differs) in [
            ("EKS control plane", month(Table::Eks, "control-plane", 1), 73, "0"),
            ("2 × t3.large", month(Table::Ec2, "t3.large", 2), 121, "0.472"),
            // 16.43 for the balancer, and one capacity unit all the time.
            ("ALB", alb, 22, "0.265"),
            // $14 a clone there; 12.41 for the instance and 2.30 for 20 GiB here.
            ("5 clones with databases of their own", clones(5), 70, "3.55"),
            ("15 clones with databases of their own", clones(15), 210, "10.65"),
            ("2 × t3.large from spare capacity", month(Table::Ec2Spot, "t3.large", 2), 40, "0.004"),
            // The instance without its storage.
            ("one shared db.t3.small", month(Table::RdsMysql, "db.t3.small", 1), 25, "-0.18"),
            // "Savings: $45/mo (vs per-clone RDS)", of five clones.
            ("one shared db.t3.small in place of five", clones(5) - month(Table::RdsMysql, "db.t3.small", 1), 45, "3.73"),
            // "Savings: $60-80/mo".
            ("spare capacity", month(Table::Ec2, "t3.large", 2) - month(Table::Ec2Spot, "t3.large", 2), 80, "1.468"),
            // "0.5 ACU … $87/mo": that is a whole unit.
            ("Aurora Serverless v2 at 0.5 ACU", month(Table::AuroraMysql, "acu", 1) / Decimal::TWO, 87, "-43.2"),
        ] {
            assert_eq!((ours - Decimal::from(theirs)).round_dp(3).normalize().to_string(), differs, "{what}");
        }
        let fixed = month(Table::Eks, "control-plane", 1) + month(Table::Ec2, "t3.large", 2) + alb;
        // "$350–500": with 15 clones that never end, and with 5 it is below.
        assert_eq!((fixed + clones(15)).round().to_string(), "437");
        assert_eq!((fixed + clones(5)).round().to_string(), "290");
        // "~$220": from spare capacity, with one shared instance, and Aurora at $60. By the book half a unit of it costs less.
        let without_aurora =
            month(Table::Eks, "control-plane", 1) + month(Table::Ec2Spot, "t3.large", 2) + month(Table::RdsMysql, "db.t3.small", 1) + alb;
        assert_eq!((without_aurora + Decimal::from(60)).round().to_string(), "220");
        assert_eq!((without_aurora + month(Table::AuroraMysql, "acu", 1) / Decimal::TWO).round().to_string(), "204");
    }
}
