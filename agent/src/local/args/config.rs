//! The flags of `config`.

use clap::{ArgGroup, Args, ValueEnum};
use windflow_compose::config::{Format, Show};

use super::ProjectArgs;

/// `--format` of `config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl From<ConfigFormat> for Format {
    fn from(format: ConfigFormat) -> Self {
        match format {
            ConfigFormat::Yaml => Self::Yaml,
            ConfigFormat::Json => Self::Json,
        }
    }
}

/// `config`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("list").multiple(false))]
pub struct ConfigArgs {
    /// Which project.
    #[command(flatten)]
    pub project: ProjectArgs,
    /// Form; YAML if absent.
    #[arg(long, value_enum)]
    pub format: Option<ConfigFormat>,
    /// Check only, print nothing.
    #[arg(short, long)]
    pub quiet: bool,
    /// Write to a file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<String>,
    /// Print the services' names.
    #[arg(long, group = "list")]
    pub services: bool,
    /// Print the services' images.
    #[arg(long, group = "list")]
    pub images: bool,
    /// Print the volumes' keys.
    #[arg(long, group = "list")]
    pub volumes: bool,
    /// Print the networks' keys.
    #[arg(long, group = "list")]
    pub networks: bool,
    /// Print all profiles that services name.
    #[arg(id = "list_profiles", long = "profiles", group = "list")]
    pub profiles: bool,
    /// Print the language models' keys.
    #[arg(long, group = "list")]
    pub models: bool,
    /// Print the configuration hashes of services; of all for `*`.
    #[arg(long, group = "list", value_name = "SERVICE[,SERVICE]")]
    pub hash: Option<String>,
    /// Print the variables that the files use.
    #[arg(long, group = "list")]
    pub variables: bool,
    /// Print the environment that variables are taken from.
    #[arg(long, group = "list")]
    pub environment: bool,
    /// Leave variables as they are.
    #[arg(long)]
    pub no_interpolate: bool,
    /// Do not check that what is named exists.
    #[arg(long)]
    pub no_consistency: bool,
    /// Leave relative paths as they are.
    #[arg(long)]
    pub no_path_resolution: bool,
    /// Accepted and without effect, as in docker compose: files of variables are read all the same.
    #[arg(long)]
    pub no_env_resolution: bool,
    /// Add no defaults.
    #[arg(long)]
    pub no_normalize: bool,
    /// Refused: it would ask a registry.
    #[arg(long, hide = true)]
    pub resolve_image_digests: bool,
    /// Refused: it would ask a registry.
    #[arg(long, hide = true)]
    pub lock_image_digests: bool,
    /// Services, with what they depend on; all if absent.
    pub names: Vec<String>,
}

impl ConfigArgs {
    /// What shall be printed.
    #[must_use]
    pub fn show(&self) -> Show {
        match &self.hash {
            Some(names) if names == "*" => return Show::Hashes(Vec::new()),
            Some(names) => return Show::Hashes(names.split(',').map(str::to_owned).collect()),
            None => {}
        }
        [
            (self.services, Show::Services),
            (self.images, Show::Images),
            (self.volumes, Show::Volumes),
            (self.networks, Show::Networks),
            (self.profiles, Show::Profiles),
            (self.models, Show::Models),
            (self.variables, Show::Variables),
            (self.environment, Show::Environment),
        ]
        .into_iter()
        .find(|(asked, _)| *asked)
        .map(|(_, show)| show)
        .unwrap_or_default()
    }
}
