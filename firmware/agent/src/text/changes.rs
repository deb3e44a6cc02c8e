//! Words about what an update changes.

use super::Lang;
use crate::apps::Part;

words! {
    /// Words about what an update changes.
    Changes, changes {
        what: "What this update changes", "Qué cambia esta actualización", "Què canvia aquesta actualització";
        nothing: "Nothing: what there is, is what is installed.", "Nada: lo que hay es lo que está instalado.", "Res: el que hi ha és el que està instal·lat.";
        again: "Its images are asked for anew all the same: what a tag leads to may be another image by now.", "Sus imágenes se piden de nuevo igualmente: una etiqueta puede llevar ya a otra imagen.", "Les seves imatges es demanen de nou igualment: una etiqueta ja pot dur a una altra imatge.";
        grave: "It asks for more than what is installed. Update it only if you would give it this.", "Pide más que lo que está instalado. Actualícela solo si quiere darle esto.", "Demana més que el que està instal·lat. Actualitzeu-la només si li voleu donar això.";
        unread: "What changes can't be said", "No se puede decir qué cambia", "No es pot dir què canvia";
        new_bytes: "New of its image", "Nuevo de su imagen", "Nou de la seva imatge";
        new: "new", "se añade", "s'hi afegeix";
        gone: "no more", "ya no está", "ja no hi és";
        another: "another", "cambia", "canvia";
        privilege: "privilege", "privilegio", "privilegi";
        image: "image", "imagen", "imatge";
        port: "port", "puerto", "port";
        kept: "folder or volume", "carpeta o volumen", "carpeta o volum";
        setting: "setting", "ajuste", "paràmetre";
        must: "must be said", "hay que decirlo", "cal dir-lo";
        default: "default", "valor por defecto", "valor per defecte";
        limit: "limit", "límite", "límit";
        run: "how it runs", "cómo funciona", "com funciona";
        words: "words", "texto", "text";
        other: "how it is written", "cómo está escrito", "com està escrit";
    }
}

impl Lang {
    /// What people call what an update changes.
    pub fn part(self, part: Part) -> &'static str {
        let words = self.changes();
        match part {
            Part::Privilege => words.privilege,
            Part::Image => words.image,
            Part::Port => words.port,
            Part::Kept => words.kept,
            Part::Setting => words.setting,
            Part::Must => words.must,
            Part::Default => words.default,
            Part::Limit => words.limit,
            Part::Run => words.run,
            Part::Words => words.words,
            Part::Other => words.other,
        }
    }
}
