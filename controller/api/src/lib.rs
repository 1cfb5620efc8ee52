//! windflow-api
