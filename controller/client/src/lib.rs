//! windflow-client
