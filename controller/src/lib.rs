//! windflow-controller
