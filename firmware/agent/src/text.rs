//! The languages of the page: English, Spanish, Catalan. Which one is asked for, and the words of the page.
//!
//! The sentences about what is wrong stand with their causes in `problems`, those about people and apps in `people` and `store`.

/// Words in the three languages, each beside its others: English, Spanish, Catalan.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $get:ident { $($word:ident: $en:literal, $es:literal, $ca:literal;)* }) => {
        $(#[$doc])*
        pub struct $name { $(pub $word: &'static str,)* }

        impl $crate::text::Lang {
            $(#[$doc])*
            pub fn $get(self) -> &'static $name {
                static EN: $name = $name { $($word: $en,)* };
                static ES: $name = $name { $($word: $es,)* };
                static CA: $name = $name { $($word: $ca,)* };
                self.pick(&EN, &ES, &CA)
            }
        }
    };
}

mod api;
mod backups;
mod by_hand;
mod catalogs;
mod changes;
mod cloud;
mod encrypted;
mod files;
mod found;
mod help;
mod hidden;
mod household;
mod jobs;
mod leases;
mod map;
mod own;
mod people;
mod quality;
mod refusals;
mod settings;
mod setup;
mod storage;
mod store;
mod tunnels;
mod words;

pub use cloud::Cloud;
pub use files::Files;
pub use household::Household;
pub use leases::Leases;
pub use map::Map;
pub use own::Own;
pub use people::People;
pub use refusals::{Code, Told};
pub use settings::Settings;
pub use storage::Storage;
pub use store::Store;
pub use words::FourWords;

/// A language that the page speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Spanish.
    Es,
    /// Catalan.
    Ca,
}

impl Lang {
    /// The best of ours for an `Accept-Language` header (RFC 9110, section 12.5.4); English when none fits.
    pub fn accepted(header: &str) -> Self {
        let mut best = (0.0_f32, Self::En);
        for part in header.split(',').take(20) {
            let mut fields = part.split(';');
            let tag = fields.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = fields.find_map(|f| f.trim().strip_prefix("q=")).map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            let lang = match tag.split('-').next().unwrap_or_default() {
                "en" | "*" => Self::En,
                "es" => Self::Es,
                "ca" => Self::Ca,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// Its tag for `<html lang>`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
            Self::Ca => "ca",
        }
    }

    /// The one of three texts that is in this language.
    pub fn pick<T>(self, en: T, es: T, ca: T) -> T {
        match self {
            Self::En => en,
            Self::Es => es,
            Self::Ca => ca,
        }
    }

    /// The words of the page in this language.
    pub fn words(self) -> &'static Words {
        match self {
            Self::En => &EN,
            Self::Es => &ES,
            Self::Ca => &CA,
        }
    }
}

/// The words of the page.
pub struct Words {
    pub all_well: &'static str,
    pub problems: &'static str,
    pub this_node: &'static str,
    pub neighbours: &'static str,
    pub alone: &'static str,
    pub no_community: &'static str,
    pub stays_outside: &'static str,
    pub community: &'static str,
    pub services: &'static str,
    pub addresses: &'static str,
    pub version: &'static str,
    pub up: &'static str,
    pub processor: &'static str,
    pub memory: &'static str,
    pub storage: &'static str,
    pub temperature: &'static str,
    pub free_of: &'static str,
    pub slot: &'static str,
    pub confirmed: &'static str,
    pub on_trial: &'static str,
    pub docker: &'static str,
    pub docker_running: &'static str,
    pub docker_stopped: &'static str,
    pub docker_silent: &'static str,
    pub docker_unknown: &'static str,
    pub containers: &'static str,
    pub heard: &'static str,
    pub seconds_ago: &'static str,
    pub through: &'static str,
    pub never: &'static str,
    pub alive: &'static str,
    pub suspect: &'static str,
    pub down: &'static str,
    pub not_installed: &'static str,
    pub no_systemd: &'static str,
    pub not_encrypted: &'static str,
    pub lost_touch: &'static str,
    pub node_id: &'static str,
    pub days: &'static str,
    pub mend: &'static str,
    pub start_docker: &'static str,
    pub restart_docker: &'static str,
    pub in_use: &'static str,
    pub joining: &'static str,
    pub attempts: &'static str,
    pub runs: &'static str,
    pub done: &'static str,
    pub failed: &'static str,
    pub stopped: &'static str,
    pub of: &'static str,
    pub hold_this_view: &'static str,
    pub shared: &'static str,
    pub nothing_shared: &'static str,
    pub more_shared: &'static str,
    pub apps: &'static str,
    pub starts: &'static str,
    pub not_well: &'static str,
    pub ends_again: &'static str,
    pub at_work: &'static str,
}

static EN: Words = Words {
    all_well: "All is well.",
    problems: "What is wrong",
    this_node: "This node",
    neighbours: "Neighbours",
    alone: "No neighbours yet.",
    no_community: "This node belongs to no microcloud yet.",
    stays_outside: "This node stays outside of its microcloud until its data is kept again.",
    community: "Microcloud",
    services: "Services",
    addresses: "Addresses",
    version: "Version",
    up: "Running for",
    processor: "Processor",
    memory: "Memory",
    storage: "Storage",
    temperature: "Temperature",
    free_of: "free of",
    slot: "System slot",
    confirmed: "confirmed",
    on_trial: "on trial",
    docker: "Docker",
    docker_running: "runs",
    docker_stopped: "does not run",
    docker_silent: "does not answer",
    docker_unknown: "can't be asked here",
    containers: "containers running of",
    heard: "Last heard",
    seconds_ago: "s ago",
    through: "through",
    never: "not yet",
    alive: "here",
    suspect: "not answering",
    down: "away",
    not_installed: "not installed",
    no_systemd: "The state of services can't be read on this machine.",
    not_encrypted: "This page is not encrypted: use it in your own network only.",
    lost_touch: "The node does not answer. This is what it said last.",
    node_id: "Node id",
    days: "d",
    mend: "What to do:",
    start_docker: "Start Docker",
    restart_docker: "Restart Docker",
    in_use: "in use",
    joining: "Joining",
    attempts: "attempts so far",
    runs: "runs",
    done: "done",
    failed: "has failed",
    stopped: "stopped",
    of: "of",
    hold_this_view: "nodes hold this view.",
    shared: "Shared by the neighbours",
    nothing_shared: "Nothing yet. Who publishes an app on its node's page shares it here.",
    more_shared: "There is more: search",
    apps: "Apps",
    starts: "is starting",
    not_well: "runs and is not well",
    ends_again: "ends again and again",
    at_work: "something is being done with it",
};

static ES: Words = Words {
    all_well: "Todo va bien.",
    problems: "Qué va mal",
    this_node: "Este nodo",
    neighbours: "Vecinos",
    alone: "Todavía no hay vecinos.",
    no_community: "Este nodo aún no pertenece a ninguna micronube.",
    stays_outside: "Este nodo queda fuera de su micronube hasta que sus datos vuelvan a conservarse.",
    community: "Micronube",
    services: "Servicios",
    addresses: "Direcciones",
    version: "Versión",
    up: "En marcha desde hace",
    processor: "Procesador",
    memory: "Memoria",
    storage: "Almacenamiento",
    temperature: "Temperatura",
    free_of: "libres de",
    slot: "Ranura del sistema",
    confirmed: "confirmada",
    on_trial: "a prueba",
    docker: "Docker",
    docker_running: "funciona",
    docker_stopped: "está parado",
    docker_silent: "no responde",
    docker_unknown: "no se puede consultar aquí",
    containers: "contenedores en marcha de",
    heard: "Última señal",
    seconds_ago: "s",
    through: "a través de",
    never: "todavía ninguna",
    alive: "presente",
    suspect: "no responde",
    down: "ausente",
    not_installed: "no instalado",
    no_systemd: "En esta máquina no se puede leer el estado de los servicios.",
    not_encrypted: "Esta página no va cifrada: úsela solo en su propia red.",
    lost_touch: "El nodo no responde. Esto es lo último que dijo.",
    node_id: "Identificador del nodo",
    days: "d",
    mend: "Qué hacer:",
    start_docker: "Iniciar Docker",
    restart_docker: "Reiniciar Docker",
    in_use: "en uso",
    joining: "Uniéndose",
    attempts: "intentos hasta ahora",
    runs: "en marcha",
    done: "hecho",
    failed: "ha fallado",
    stopped: "parado",
    of: "de",
    hold_this_view: "nodos tienen esta misma vista.",
    shared: "Lo que comparten los vecinos",
    nothing_shared: "Todavía nada. Quien publica una aplicación en la página de su nodo la comparte aquí.",
    more_shared: "Hay más: buscar",
    apps: "Aplicaciones",
    starts: "está arrancando",
    not_well: "funciona, pero no va bien",
    ends_again: "se detiene una y otra vez",
    at_work: "se está haciendo algo con ella",
};

static CA: Words = Words {
    all_well: "Tot va bé.",
    problems: "Què va malament",
    this_node: "Aquest node",
    neighbours: "Veïns",
    alone: "Encara no hi ha veïns.",
    no_community: "Aquest node encara no pertany a cap micronúvol.",
    stays_outside: "Aquest node queda fora del seu micronúvol fins que les seves dades es tornin a conservar.",
    community: "Micronúvol",
    services: "Serveis",
    addresses: "Adreces",
    version: "Versió",
    up: "En marxa des de fa",
    processor: "Processador",
    memory: "Memòria",
    storage: "Emmagatzematge",
    temperature: "Temperatura",
    free_of: "lliures de",
    slot: "Ranura del sistema",
    confirmed: "confirmada",
    on_trial: "a prova",
    docker: "Docker",
    docker_running: "funciona",
    docker_stopped: "està aturat",
    docker_silent: "no respon",
    docker_unknown: "no es pot consultar aquí",
    containers: "contenidors en marxa de",
    heard: "Últim senyal",
    seconds_ago: "s",
    through: "a través de",
    never: "encara cap",
    alive: "present",
    suspect: "no respon",
    down: "absent",
    not_installed: "no instal·lat",
    no_systemd: "En aquesta màquina no es pot llegir l'estat dels serveis.",
    not_encrypted: "Aquesta pàgina no va xifrada: feu-la servir només a la vostra xarxa.",
    lost_touch: "El node no respon. Això és l'últim que va dir.",
    node_id: "Identificador del node",
    days: "d",
    mend: "Què cal fer:",
    start_docker: "Engega Docker",
    restart_docker: "Reinicia Docker",
    in_use: "en ús",
    joining: "S'està unint",
    attempts: "intents fins ara",
    runs: "en marxa",
    done: "fet",
    failed: "ha fallat",
    stopped: "aturat",
    of: "de",
    hold_this_view: "nodes tenen aquesta mateixa vista.",
    shared: "El que comparteixen els veïns",
    nothing_shared: "Encara res. Qui publica una aplicació a la pàgina del seu node la comparteix aquí.",
    more_shared: "N'hi ha més: cerca",
    apps: "Aplicacions",
    starts: "s'està engegant",
    not_well: "funciona, però no va bé",
    ends_again: "s'atura una vegada i una altra",
    at_work: "s'hi està fent alguna cosa",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_that_we_speak_wins() {
        assert_eq!(Lang::accepted("ca,es;q=0.8,en;q=0.5"), Lang::Ca);
        assert_eq!(Lang::accepted("fr, es-MX;q=0.7, en;q=0.3"), Lang::Es);
        assert_eq!(Lang::accepted("fr"), Lang::En);
        assert_eq!(Lang::accepted(""), Lang::En);
        assert_eq!(Lang::accepted("es;q=x, ca;q=NaN"), Lang::En);
    }
}
