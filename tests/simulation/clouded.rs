//! A [`Cloud`] between the product and AWS in memory that does not do what it should: see [`Bug`].

use crate::bugs::Bug;
use clonewarden::{
    model::{cloud::CloudResource, evidence::CloudList, names},
    ports::{Cloud, CloudError, Farewell, Kin, Sweep},
    sandbox::cloud::handle::SandboxCloud,
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// For how long [`Bug::OldPicture`] believes what it saw once.
const PICTURE: SignedDuration = SignedDuration::from_secs(150);

pub(crate) struct Clouded {
    inner: SandboxCloud,
    bug: Bug,
    /// The first sweep of each region, as long as it is believed.
    pictures: Mutex<BTreeMap<Arc<str>, Sweep>>,
    /// ARNs of which a deletion was asked for, and no answer came.
    unanswered: Mutex<BTreeSet<String>>,
}

impl Clouded {
    pub(crate) fn new(inner: SandboxCloud, bug: Bug) -> Self {
        Self { inner, bug, pictures: Mutex::default(), unanswered: Mutex::default() }
    }

    /// How a resource looks to one who errs; `None`: it is not seen.
    fn misread(&self, mut seen: CloudResource) -> Option<CloudResource> {
        match self.bug {
            Bug::TrustsTags => {
                if let (Some(id), Some(uid), true) =
                    (seen.tag(names::TAG_CLONE_ID), seen.tag(names::TAG_CLONE_UID), seen.list == CloudList::Instances)
                {
                    // Where it really is stays in the ARN.
                    seen.id = names::database_identifier(id, uid);
                }
            }
            Bug::DropsProtection => seen.protected = seen.protected.map(|_| false),
            // Those that the daemon had taken it sees, or what would be noticed first is that they stay for ever.
            Bug::EmptyListIsTruth if !seen.is_database() && !seen.id.contains("-final-") => return None,
            Bug::LostIsDone if self.unanswered.lock().unwrap().contains(&seen.arn) => return None,
            Bug::HastensSnapshots => {
                if let Some(date) = seen.tags.as_mut().and_then(|tags| tags.get_mut(names::TAG_EXPIRES_AT)) {
                    *date = "2026-02-05T00:00:00Z".to_owned();
                }
            }
            Bug::AnySnapshot if seen.list == CloudList::Snapshots && !seen.automated => {
                let (id, cluster) = (seen.id.clone(), crate::custody::CLUSTER.to_owned());
                let tags = seen.tags.get_or_insert_default();
                for (key, value) in
                    [(names::TAG_SNAPSHOT, id), (names::TAG_CLUSTER, cluster), (names::TAG_EXPIRES_AT, "2026-02-05T00:00:00Z".to_owned())]
                {
                    tags.insert(key.to_owned(), value);
                }
            }
            _ => {}
        }
        Some(seen)
    }

    async fn look(&self, region: &Arc<str>) -> Sweep {
        let mut sweep = self.inner.sweep(region).await;
        for found in sweep.lists.values_mut().flatten() {
            *found = std::mem::take(found).into_iter().filter_map(|seen| self.misread(seen)).collect();
        }
        if self.bug == Bug::OldPicture {
            let mut pictures = self.pictures.lock().unwrap();
            let fresh = |picture: &&mut Sweep| sweep.begun.duration_since(picture.begun) < PICTURE;
            if let Some(picture) = pictures.get_mut(region).filter(fresh) {
                for list in [CloudList::Instances, CloudList::Clusters] {
                    sweep.lists.extend(picture.lists.get(&list).map(|found| (list, found.clone())));
                }
                return sweep;
            }
            if sweep.lists.values().all(Result::is_ok) {
                pictures.insert(Arc::clone(region), sweep.clone());
            }
        }
        sweep
    }
}

impl Cloud for Clouded {
    fn regions(&self) -> &[Arc<str>] {
        self.inner.regions()
    }

    fn sweep<'a>(&'a self, region: &'a Arc<str>) -> BoxFuture<'a, Sweep> {
        Box::pin(self.look(region))
    }

    fn describe<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<CloudResource>, CloudError>> {
        Box::pin(async move {
            let pictured = match self.bug {
                Bug::OldPicture if matches!(list, CloudList::Instances | CloudList::Clusters) => self.pictures.lock().unwrap().get(region).cloned(),
                Bug::TrustsTags => Some(self.look(&Arc::from(region)).await),
                _ => None,
            };
            match pictured.and_then(|picture| picture.lists.get(&list).cloned()) {
                Some(found) => Ok(found?.into_iter().find(|seen| seen.id == id)),
                None => Ok(self.inner.describe(list, region, id).await?.and_then(|seen| self.misread(seen))),
            }
        })
    }

    fn kin<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Vec<Kin>, CloudError>> {
        Box::pin(async move {
            let blind = matches!(self.bug, Bug::EmptyListIsTruth | Bug::OldPicture | Bug::TrustsTags);
            if blind { Ok(Vec::new()) } else { self.inner.kin(list, region, id).await }
        })
    }

    fn delete<'a>(&'a self, resource: &'a CloudResource, farewell: Farewell<'a>) -> BoxFuture<'a, Result<(), CloudError>> {
        Box::pin(async move {
            let real = resource.arn.rsplit(':').next().unwrap_or_default().to_owned();
            let resource = CloudResource { id: real, ..resource.clone() };
            let farewell = if self.bug == Bug::ForgetsSnapshot { Farewell::Nothing } else { farewell };
            let answer = self.inner.delete(&resource, farewell).await;
            if self.bug == Bug::LostIsDone && matches!(answer, Err(CloudError::Unavailable(_))) {
                self.unanswered.lock().unwrap().insert(resource.arn);
                return Ok(());
            }
            answer
        })
    }

    fn tag<'a>(&'a self, resource: &'a CloudResource, tags: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<(), CloudError>> {
        self.inner.tag(resource, tags)
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        self.inner.skew(now)
    }
}
