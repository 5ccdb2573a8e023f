//! Where settings come from, so that they can be read again.

use crate::config::{Config, ConfigError};

/// Reads the settings file.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send>;
