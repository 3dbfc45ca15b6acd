//! Reads the configuration file and explains mistakes in it.

use mesh::Multiaddr;
use serde::Deserialize;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::Spanned;

use crate::config::meter::{self, MeterToml};
use crate::config::strategy::{self, StrategyToml};
use crate::config::{AgentConfig, ConfigError, MeshSettings};
use crate::forecast::Place;
use crate::toml_text::{TomlError, TomlText};

/// What holds where the file says nothing.
pub(super) struct Defaults {
    pub(super) listen: &'static [&'static str],
    mdns: bool,
}

pub(super) const DEFAULTS: Defaults = Defaults { listen: &["/ip4/0.0.0.0/tcp/0"], mdns: false };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentToml {
    data_dir: PathBuf,
    genesis: PathBuf,
    party: Spanned<String>,
    party_key: PathBuf,
    metering_point: Option<Spanned<String>>,
    rated_power_w: Spanned<u32>,
    mesh: MeshToml,
    meter: MeterToml,
    place: Option<PlaceToml>,
    weather_file: Option<PathBuf>,
    #[serde(default)]
    strategy: StrategyToml,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceToml {
    latitude_deg: Spanned<f64>,
    longitude_deg: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeshToml {
    transport_key: PathBuf,
    listen: Option<Vec<Spanned<String>>>,
    bootstrap: Vec<Spanned<String>>,
    mdns: Option<bool>,
}

/// Reads a configuration; relative paths start at the folder of `path`.
pub(super) fn read(text: &str, path: &Path) -> Result<AgentConfig, ConfigError> {
    let text = TomlText::new(path, text);
    let file: AgentToml = text.parse()?;
    let reader = Reader { text, folder: path.parent().unwrap_or(Path::new("")) };
    if *file.rated_power_w.get_ref() == 0 {
        let problem = "expected a power above 0 W, but found 0";
        return Err(text.error("rated_power_w", &file.rated_power_w, problem).into());
    }
    let metering_point = file.metering_point.as_ref();
    Ok(AgentConfig {
        data_dir: reader.folder.join(file.data_dir),
        genesis: reader.folder.join(file.genesis),
        party: reader.parse("party", &file.party)?,
        party_key: reader.folder.join(file.party_key),
        membership: reader.folder.join("membership.toml"),
        metering_point: metering_point
            .map(|point| reader.parse("metering_point", point))
            .transpose()?,
        rated_power_w: *file.rated_power_w.get_ref(),
        mesh: reader.mesh(&file.mesh)?,
        meter: meter::read(text, reader.folder, &file.meter)?,
        place: file.place.as_ref().map(|place| reader.place(place)).transpose()?,
        weather_file: file.weather_file.map(|path| reader.folder.join(path)),
        strategy: strategy::read(text, &file.strategy)?,
    })
}

struct Reader<'a> {
    text: TomlText<'a>,
    folder: &'a Path,
}

impl Reader<'_> {
    fn parse<T: FromStr<Err: Display>>(
        &self,
        key: &str,
        found: &Spanned<String>,
    ) -> Result<T, TomlError> {
        found.get_ref().parse().map_err(|error| self.text.error(key, found, error))
    }

    fn mesh(&self, mesh: &MeshToml) -> Result<MeshSettings, TomlError> {
        let addresses = |key: &str, found: &[Spanned<String>]| {
            found.iter().map(|address| self.address(key, address)).collect::<Result<Vec<_>, _>>()
        };
        let listen = match &mesh.listen {
            Some(listen) => addresses("mesh.listen", listen)?,
            // Constants; the tests read them all.
            None => DEFAULTS.listen.iter().filter_map(|text| text.parse().ok()).collect(),
        };
        Ok(MeshSettings {
            transport_key: self.folder.join(&mesh.transport_key),
            listen,
            bootstrap: addresses("mesh.bootstrap", &mesh.bootstrap)?,
            mdns: mesh.mdns.unwrap_or(DEFAULTS.mdns),
        })
    }

    fn place(&self, place: &PlaceToml) -> Result<Place, TomlError> {
        let degrees = |key: &str, found: &Spanned<f64>, most: f64| {
            let value = *found.get_ref();
            if (-most..=most).contains(&value) {
                return Ok(value);
            }
            let problem = format!("expected -{most} to {most} degrees, but found {value}");
            Err(self.text.error(key, found, problem))
        };
        Ok(Place {
            latitude_deg: degrees("place.latitude_deg", &place.latitude_deg, 90.0)?,
            longitude_deg: degrees("place.longitude_deg", &place.longitude_deg, 180.0)?,
        })
    }

    fn address(&self, key: &str, found: &Spanned<String>) -> Result<Multiaddr, TomlError> {
        found.get_ref().parse().map_err(|_| {
            let problem = format!(
                "expected an address like /ip4/10.0.0.1/tcp/4001, but found {found:?}",
                found = found.get_ref()
            );
            self.text.error(key, found, problem)
        })
    }
}
