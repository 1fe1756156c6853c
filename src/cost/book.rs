//! The price book: what AWS asks for, by region, each figure with its date and its source.
//!
//! The one that is built in is `prices/*.yaml`; a `PriceBook` beside the policies takes the place of its figures, one by one. What
//! has no figure has no price: it is not guessed from another region's.

use jiff::civil::Date;
use rust_decimal::Decimal;
use std::{collections::BTreeMap, sync::Arc};

/// What a figure is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// EC2 instances on demand, by type.
    Ec2,
    /// EC2 instances from spare capacity, by type.
    Ec2Spot,
    /// RDS instances for MySQL, Single-AZ, by class.
    RdsMysql,
    /// Aurora MySQL: instances by class, and `acu`.
    AuroraMysql,
    /// Storage of RDS instances, by its type.
    RdsStorage,
    /// Snapshots and backups: `rds` or `aurora`.
    RdsBackup,
    /// EKS: `control-plane`.
    Eks,
    /// Application Load Balancers: `load-balancer` and `lcu`.
    Alb,
}

impl Table {
    /// Every table, with the word for it in the files.
    pub const WORDS: [(&'static str, Self); 8] = [
        ("ec2", Self::Ec2),
        ("ec2-spot", Self::Ec2Spot),
        ("rds-mysql", Self::RdsMysql),
        ("aurora-mysql", Self::AuroraMysql),
        ("rds-storage", Self::RdsStorage),
        ("rds-backup", Self::RdsBackup),
        ("eks", Self::Eks),
        ("alb", Self::Alb),
    ];

    /// The word for it in the files.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, table)| *table == self).map_or("", |(word, _)| word)
    }

    /// What one costs that much: `hour` or `GiB-month`.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::RdsStorage | Self::RdsBackup => "GiB-month",
            _ => "hour",
        }
    }
}

/// One price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// USD for one [`Table::unit`].
    pub usd: Decimal,
    /// When it was read (UTC).
    pub as_of: Date,
    /// Where it was read: an address.
    pub source: Arc<str>,
    /// `file:line`, or that it is built in.
    pub place: Arc<str>,
}

/// Something that costs whether or not a clone lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedCost {
    /// The table that has its price.
    pub table: Table,
    /// What it is called there.
    pub name: String,
    /// How many there are of it.
    pub count: Decimal,
}

/// Every price that is known, of every region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriceBook(BTreeMap<Arc<str>, Region>);

/// What is known of one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Region {
    figures: BTreeMap<(Table, String), Figure>,
    /// `None`: the book says nothing of them.
    fixed: Option<Vec<FixedCost>>,
    spread_over: Option<u32>,
}

impl PriceBook {
    /// Whether both ask the same for everything, by figures of the same date; where those stand is no matter.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        type Said<'a> = (&'a Arc<str>, Vec<(&'a (Table, String), Decimal, Date)>, Option<&'a Vec<FixedCost>>, Option<u32>);
        fn said(book: &PriceBook) -> impl Iterator<Item = Said<'_>> {
            book.0.iter().map(|(name, region)| {
                let figures = region.figures.iter().map(|(key, figure)| (key, figure.usd, figure.as_of));
                (name, figures.collect(), region.fixed.as_ref(), region.spread_over)
            })
        }
        said(self).eq(said(other))
    }

    /// Writes a figure in; the one before is gone.
    pub fn put(&mut self, region: &Arc<str>, table: Table, name: String, figure: Figure) {
        self.0.entry(Arc::clone(region)).or_default().figures.insert((table, name), figure);
    }

    /// Says what costs whether or not a clone lives, and over how many clones that is spread; what was said before is gone.
    pub fn put_fixed(&mut self, region: &Arc<str>, costs: Vec<FixedCost>, spread_over: Option<u32>) {
        let region = self.0.entry(Arc::clone(region)).or_default();
        (region.fixed, region.spread_over) = (Some(costs), spread_over);
    }

    /// What costs in a region whether or not a clone lives.
    pub fn fixed(&self, region: &str) -> impl Iterator<Item = &FixedCost> {
        self.0.get(region).and_then(|region| region.fixed.as_ref()).into_iter().flatten()
    }

    /// The same; `None`: the book does not say what costs there.
    #[must_use]
    pub fn said_fixed(&self, region: &str) -> Option<&[FixedCost]> {
        self.0.get(region)?.fixed.as_deref()
    }

    /// Every region that it has something of, by name.
    pub fn regions(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// Over how many clones that is spread, if the book says so.
    #[must_use]
    pub fn spread_over(&self, region: &str) -> Option<u32> {
        self.0.get(region)?.spread_over
    }

    /// What one costs, if the book says so.
    #[must_use]
    pub fn usd(&self, region: &str, table: Table, name: &str) -> Option<Decimal> {
        self.0.get(region)?.figures.get(&(table, name.to_owned())).map(|figure| figure.usd)
    }

    /// The figures of another book take the place of its own.
    pub fn overlay(&mut self, other: Self) {
        for (region, said) in other.0 {
            let known = self.0.entry(region).or_default();
            known.figures.extend(said.figures);
            if said.fixed.is_some() {
                (known.fixed, known.spread_over) = (said.fixed, said.spread_over);
            }
        }
    }

    /// Whether it has any figure of a region.
    #[must_use]
    pub fn knows(&self, region: &str) -> bool {
        self.0.contains_key(region)
    }

    /// The figure of a region that was read the longest ago.
    #[must_use]
    pub fn oldest(&self, region: &str) -> Option<&Figure> {
        self.0.get(region)?.figures.values().min_by_key(|figure| figure.as_of)
    }

    /// A figure of a region, if the book has it.
    #[must_use]
    pub fn figure(&self, region: &str, table: Table, name: &str) -> Option<&Figure> {
        self.0.get(region)?.figures.get(&(table, name.to_owned()))
    }

    /// Every figure: region, table, name, by these.
    pub fn figures(&self) -> impl Iterator<Item = (&str, Table, &str, &Figure)> {
        self.0
            .iter()
            .flat_map(|(region, known)| known.figures.iter().map(move |((table, name), figure)| (region.as_ref(), *table, name.as_str(), figure)))
    }
}
