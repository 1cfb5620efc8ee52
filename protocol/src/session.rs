//! Sans-IO sessions.
