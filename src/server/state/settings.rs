//! Where settings come from, to be read again.

use crate::config::{Config, ConfigError};

/// Reads the settings file.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send>;
