//! `clonewarden crds`: the CustomResourceDefinitions of our own kinds, as `kubectl apply -f -` takes them.

use super::{Failure, output};
use crate::export::objects;
use anyhow::Context;

pub(super) fn run() -> Result<(), Failure> {
    let all = objects::crds().context("cannot write a CRD as YAML").map_err(Failure::failed)?;
    let documents: Vec<String> = all.into_iter().map(|(_, yaml)| yaml).collect();
    output::data(&documents.join("---\n"))
}
