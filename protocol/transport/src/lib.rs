//! windflow-transport
