//! windflow-tests
