//! Admission: what is asked before an object exists. Here is who we are to the API server that asks, and to each other.

pub mod certs;
