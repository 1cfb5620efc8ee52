//! windflow-protocol
