//! windflow-agent
