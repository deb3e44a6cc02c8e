//! Words about apps of people's own: forms, compose files, what they ask of the node.

words! {
    /// Words about apps of people's own.
    Own, own {
        own_apps: "Own apps", "Aplicaciones propias", "Aplicacions pròpies";
        own_why: "Any image that Docker can get, or a compose file. It stays here, to be installed and changed.", "Cualquier imagen que Docker pueda obtener, o un archivo compose. Se queda aquí, para instalarla y cambiarla.", "Qualsevol imatge que Docker pugui obtenir, o un fitxer compose. Es queda aquí, per instal·lar-la i canviar-la.";
        by_form: "From an image…", "Con una imagen…", "Amb una imatge…";
        by_compose: "From a compose file…", "Con un archivo compose…", "Amb un fitxer compose…";
        edit: "Edit…", "Editar…", "Edita…";
        name: "Short name (letters, digits, -)", "Nombre corto (letras, cifras, -)", "Nom curt (lletres, xifres, -)";
        title: "What people call it", "Cómo la llama la gente", "Com l'anomena la gent";
        description: "What it is for", "Para qué sirve", "Per a què serveix";
        image: "Image, as Docker calls it", "Imagen, como la llama Docker", "Imatge, com l'anomena Docker";
        entrypoint: "Program that takes the command (entrypoint), one word a line; empty: as the image says", "Programa que toma la orden (entrypoint), una palabra por línea; vacío: lo que diga la imagen", "Programa que pren l'ordre (entrypoint), una paraula per línia; buit: el que digui la imatge";
        command: "Command, one word a line; empty: as the image says", "Orden, una palabra por línea; vacío: lo que diga la imagen", "Ordre, una paraula per línia; buit: el que digui la imatge";
        ports: "Ports, one a line: node:container", "Puertos, uno por línea: nodo:contenedor", "Ports, un per línia: node:contenidor";
        environment: "Environment, one a line: NAME=value; a name alone is asked for when it is installed", "Entorno, una por línea: NOMBRE=valor; un nombre solo se pregunta al instalar", "Entorn, una per línia: NOM=valor; un nom sol es demana en instal·lar";
        volumes: "What it keeps, one a line: name:/folder", "Lo que guarda, una por línea: nombre:/carpeta", "El que desa, una per línia: nom:/carpeta";
        devices: "Devices of the node, one a line", "Dispositivos del nodo, uno por línea", "Dispositius del node, un per línia";
        capabilities: "Capabilities, one a line", "Capacidades (capabilities), una por línea", "Capacitats (capabilities), una per línia";
        network: "Network", "Red", "Xarxa";
        network_own: "its own", "propia", "pròpia";
        network_none: "none", "ninguna", "cap";
        network_host: "the node's (an owner must allow it)", "la del nodo (debe permitirlo un dueño)", "la del node (ho ha de permetre un propietari)";
        privileged: "Without confinement (an owner must allow it)", "Sin confinamiento (debe permitirlo un dueño)", "Sense confinament (ho ha de permetre un propietari)";
        user: "User in the container; empty: as the image says", "Usuario en el contenedor; vacío: lo que diga la imagen", "Usuari al contenidor; buit: el que digui la imatge";
        memory: "Memory at most, in MiB; empty: 1024", "Memoria máxima, en MiB; vacío: 1024", "Memòria màxima, en MiB; buit: 1024";
        processor: "Hundredths of a processor at most; empty: 100", "Centésimas de procesador como máximo; vacío: 100", "Centèsimes de processador com a màxim; buit: 100";
        more: "More", "Más", "Més";
        compose: "Compose file", "Archivo compose", "Fitxer compose";
        compose_why: "Paste it here. Files beside it are not read; a value ${NAME} is asked for when it is installed.", "Péguelo aquí. No se leen archivos de al lado; un valor ${NOMBRE} se pregunta al instalar.", "Enganxeu-lo aquí. No es llegeixen fitxers del costat; un valor ${NOM} es demana en instal·lar.";
        file: "Or a file, instead of what stands above", "O un archivo, en lugar de lo de arriba", "O un fitxer, en lloc del que hi ha a dalt";
        blob: "Or a file of the microcloud, by its hash or address (page Files), instead of what stands above", "O un archivo de la micronube, por su hash o dirección (página Archivos), en lugar de lo de arriba", "O un fitxer del micronúvol, pel seu hash o adreça (pàgina Fitxers), en lloc del que hi ha a dalt";
        file_or_blob: "Choose either a file or a file of the microcloud, not both.", "Elija un archivo o un archivo de la micronube, no ambos.", "Trieu un fitxer o un fitxer del micronúvol, no tots dos.";
        save: "Save", "Guardar", "Desa";
        forget: "Remove from this list", "Quitar de esta lista", "Treu d'aquesta llista";
        forget_why: "What is installed of it goes on.", "Lo que hay instalado sigue funcionando.", "El que hi ha instal·lat continua funcionant.";
        asks: "What it asks of the node", "Qué pide al nodo", "Què demana al node";
        asks_why: "Tick only what you would give to whoever made it: it reaches outside of the app.", "Marque solo lo que daría a quien la hizo: llega fuera de la aplicación.", "Marqueu només el que donaríeu a qui l'ha feta: arriba fora de l'aplicació.";
        asks_nothing: "Nothing: it stays within its own containers.", "Nada: se queda en sus propios contenedores.", "Res: es queda als seus propis contenidors.";
        owner_may: "An owner of this node may allow it.", "Un dueño de este nodo puede permitirlo.", "Un propietari d'aquest node ho pot permetre.";
        allowed: "allowed", "permitido", "permès";
        not_allowed: "not allowed", "no permitido", "no permès";
        allow: "Allow what is ticked, and nothing else", "Permitir lo marcado y nada más", "Permet el que està marcat i res més";
        line: "line", "línea", "línia";
    }
}

impl Own {
    /// What a privilege is, by the word before its `=`.
    pub fn privilege(lang: super::Lang, kind: &str) -> &'static str {
        match kind {
            "privileged" => lang.pick(
                "All of this machine: its disks, keys and other apps' data",
                "Toda esta máquina: sus discos, claves y los datos de otras aplicaciones",
                "Tota aquesta màquina: els seus discos, claus i les dades d'altres aplicacions",
            ),
            "host-network" => lang.pick("The node's own network", "La red del propio nodo", "La xarxa del mateix node"),
            "host-pid" => lang.pick("All processes of the node", "Todos los procesos del nodo", "Tots els processos del node"),
            "host-ipc" => lang.pick(
                "Memory that the node's programs share",
                "Memoria que comparten los programas del nodo",
                "Memòria que comparteixen els programes del node",
            ),
            "host-path" => lang.pick(
                "Reading and writing a folder of the node",
                "Leer y escribir una carpeta del nodo",
                "Llegir i escriure una carpeta del node",
            ),
            "host-path-read" => lang.pick("Reading a folder of the node", "Leer una carpeta del nodo", "Llegir una carpeta del node"),
            "device" => lang.pick("A device of the node", "Un dispositivo del nodo", "Un dispositiu del node"),
            "cap-add" => lang.pick("A capability of the kernel", "Una capacidad del núcleo", "Una capacitat del nucli"),
            "sysctl" => lang.pick("A setting of the kernel", "Un ajuste del núcleo", "Un paràmetre del nucli"),
            "store" => lang.pick(
                "Its part of the microcloud's store",
                "Su parte del almacén de la micronube",
                "La seva part del magatzem del micronúvol",
            ),
            _ => lang.pick("A confinement is taken away", "Se quita un confinamiento", "Es treu un confinament"),
        }
    }
}
