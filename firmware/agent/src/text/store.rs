//! Words about apps: the store, what is installed, what is being done.

use super::Lang;

words! {
    /// Words about apps.
    Store, store {
        store: "Store", "Catálogo", "Catàleg";
        installed: "On this node", "En este nodo", "En aquest node";
        none_installed: "No app is installed. Choose one in the store below: it runs after one click.", "No hay ninguna aplicación instalada. Elija una del catálogo: funciona con un clic.", "No hi ha cap aplicació instal·lada. Trieu-ne una del catàleg: funciona amb un clic.";
        none_guest: "No app is installed on this node.", "No hay ninguna aplicación instalada en este nodo.", "No hi ha cap aplicació instal·lada en aquest node.";
        store_empty: "The store is empty. `cloudy app add PATH` on the node takes apps into it.", "El catálogo está vacío. `cloudy app add RUTA` en el nodo añade aplicaciones.", "El catàleg és buit. `cloudy app add RUTA` al node hi afegeix aplicacions.";
        all_installed: "All apps of the store are installed.", "Todas las aplicaciones del catálogo están instaladas.", "Totes les aplicacions del catàleg estan instal·lades.";
        guest: "Who looks after this node logs in to install and change apps.", "Quien cuida de este nodo entra para instalar y cambiar aplicaciones.", "Qui té cura d'aquest node hi entra per instal·lar i canviar aplicacions.";
        install: "Install", "Instalar", "Instal·la";
        choose: "Choose…", "Elegir…", "Tria…";
        start: "Start", "Arrancar", "Engega";
        stop: "Stop", "Parar", "Atura";
        restart: "Restart", "Reiniciar", "Reinicia";
        publish: "Publish", "Publicar", "Publica";
        withdraw: "Withdraw", "Retirar", "Retira";
        remove: "Remove…", "Quitar…", "Treu…";
        details: "Settings and log", "Ajustes y registro", "Paràmetres i registre";
        change: "Change", "Cambiar", "Canvia";
        changed_meanwhile: "Somebody else changed this app since you opened the page. This is how it is now: look at it, and change it again if that is still what you want.", "Otra persona cambió esta aplicación después de que usted abriera la página. Así está ahora: mírela y vuelva a cambiarla si aún lo quiere.", "Algú altre ha canviat aquesta aplicació després que obríssiu la pàgina. Ara està així: mireu-la i torneu a canviar-la si encara ho voleu.";
        unchanged: "stays as it is", "queda como está", "queda com està";
        neighbours_see: "What neighbours see", "Lo que ven los vecinos", "El que veuen els veïns";
        neighbours_why: "Everybody in the microcloud finds it by these words, and sees whether it runs.", "Toda la micronube la encuentra con estas palabras y ve si funciona.", "Tot el micronúvol la troba amb aquestes paraules i veu si funciona.";
        languages: "Its languages, by their tags", "Sus idiomas, por sus etiquetas", "Els seus idiomes, per les seves etiquetes";
        title: "Title", "Título", "Títol";
        description: "Description", "Descripción", "Descripció";
        category_word: "Kind, in a word to find it by; empty: the app's own", "Tipo, una palabra para encontrarla; vacío: el de la aplicación", "Mena, una paraula per trobar-la; buit: la de l'aplicació";
        address: "Its whole address, if it is reached elsewhere than at its port here; empty: at its port", "Su dirección completa, si se llega a ella por otro sitio que su puerto aquí; vacío: por su puerto", "La seva adreça sencera, si s'hi arriba per un altre lloc que el seu port aquí; buit: pel seu port";
        newer: "The store has a newer version.", "El catálogo tiene una versión más nueva.", "El catàleg té una versió més nova.";
        update: "Update…", "Actualizar…", "Actualitza…";
        update_now: "Update", "Actualizar", "Actualitza";
        published: "published", "publicada", "publicada";
        open: "Open", "Abrir", "Obre";
        port: "port", "puerto", "port";
        on_port: "will be at", "estará en el", "serà al";
        remove_title: "Remove this app?", "¿Quitar esta aplicación?", "Treure aquesta aplicació?";
        remove_keep: "Remove, and keep its data", "Quitar y conservar sus datos", "Treu-la i conserva'n les dades";
        remove_keep_why: "What it keeps stays on this node, and is there again when the app is installed again.", "Lo que guarda se queda en este nodo y vuelve a estar ahí si se instala de nuevo.", "El que desa es queda en aquest node i hi torna a ser si s'instal·la de nou.";
        remove_all: "Remove with all its data", "Quitar con todos sus datos", "Treu-la amb totes les dades";
        remove_all_why: "What it keeps is deleted. Nothing brings it back.", "Lo que guarda se borra. Nada lo recupera.", "El que desa s'esborra. Res no ho recupera.";
        back: "Back", "Volver", "Torna";
        jobs: "What is being done", "Qué se está haciendo", "Què s'està fent";
        settings: "Settings", "Ajustes", "Paràmetres";
        log: "Log", "Registro", "Registre";
        log_empty: "It has said nothing yet.", "Todavía no ha dicho nada.", "Encara no ha dit res.";
        uses: "What it uses", "Lo que usa", "El que fa servir";
        use_cpu: "processor", "procesador", "processador";
        use_memory: "memory", "memoria", "memòria";
        use_network: "received / sent over the network", "recibido / enviado por la red", "rebut / enviat per la xarxa";
        use_disk: "read / written on disk", "leído / escrito en disco", "llegit / escrit al disc";
        no_settings: "It has no settings.", "No tiene ajustes.", "No té paràmetres.";
        yes: "yes", "sí", "sí";
        no: "no", "no", "no";
        queued: "waits", "espera", "espera";
        running: "at work", "en ello", "en marxa";
        undoing: "is being undone", "se está deshaciendo", "s'està desfent";
        done: "done", "hecho", "fet";
        undone: "did not work, and was undone", "no ha funcionado y se ha deshecho", "no ha funcionat i s'ha desfet";
        failed: "has failed", "ha fallado", "ha fallat";
        job_install: "Install", "Instalar", "Instal·lar";
        job_change: "Change", "Cambiar", "Canviar";
        job_start: "Start", "Arrancar", "Engegar";
        job_stop: "Stop", "Parar", "Aturar";
        job_restart: "Restart", "Reiniciar", "Reiniciar";
        job_remove: "Remove", "Quitar", "Treure";
        said: "What was said", "Lo que se dijo", "El que es va dir";
        search: "Search", "Buscar", "Cerca";
        search_what: "What are you looking for?", "¿Qué busca?", "Què busqueu?";
        category: "Kind", "Tipo", "Mena";
        any_category: "all", "todos", "totes";
        on_node: "On the node", "En el nodo", "Al node";
        nobody_there: "This node is in no microcloud yet, so there is nobody to ask. Join your neighbours or begin one:", "Este nodo todavía no está en ninguna micronube, así que no hay a quién preguntar. Únase a los vecinos o empiece una:", "Aquest node encara no és a cap micronúvol, així que no hi ha ningú a qui preguntar. Uniu-vos als veïns o comenceu-ne un:";
        nothing_found: "Nothing that is shared fits.", "Nada de lo que se comparte encaja.", "Res del que es comparteix no hi encaixa.";
        more: "More", "Más", "Més";
        messages: "messages", "mensajes", "missatges";
        web: "web", "web", "web";
        files: "files", "archivos", "fitxers";
        databases: "databases", "bases de datos", "bases de dades";
        media: "music and video", "música y vídeo", "música i vídeo";
        library: "books and knowledge", "libros y saber", "llibres i saber";
        network: "network", "red", "xarxa";
        monitoring: "monitoring", "supervisión", "supervisió";
        games: "games", "juegos", "jocs";
    }
}

impl Lang {
    /// What people call a category. A neighbour may have named one that this version does not know.
    pub fn category(self, word: &str) -> &str {
        let words = self.store();
        match word {
            "messages" => words.messages,
            "web" => words.web,
            "files" => words.files,
            "databases" => words.databases,
            "media" => words.media,
            "library" => words.library,
            "network" => words.network,
            "monitoring" => words.monitoring,
            "games" => words.games,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::apps::Category;

    #[test]
    fn every_category_has_words_of_its_own_and_a_neighbours_stays() {
        let words: std::collections::BTreeSet<&str> = Category::ALL.iter().map(|category| Lang::Es.category(category.word())).collect();
        assert_eq!(words.len(), Category::ALL.len());
        assert_eq!(Lang::Es.category("bicycles"), "bicycles");
    }
}
