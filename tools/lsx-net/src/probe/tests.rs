//! Probes on loopback and in namespaces made here.
