//! Words of the page of files.

words! {
    /// Words of the page of files.
    Files, files {
        files: "Files", "Archivos", "Fitxers";
        files_why: "What the nodes of the microcloud hold. What you fetch is checked byte by byte, and your node gives it on.", "Lo que tienen los nodos de la micronube. Lo que usted trae se comprueba byte a byte, y su nodo lo da a los demás.", "El que tenen els nodes del micronúvol. El que porteu es comprova byte a byte, i el vostre node ho dona als altres.";
        guest: "Here you see what is for everybody. Log in as an operator to see the rest, and to add files.", "Aquí ve lo que es para todos. Entre como operador para ver lo demás y para añadir archivos.", "Aquí veieu el que és per a tothom. Entreu com a operador per veure la resta i per afegir fitxers.";
        words: "Words of the name", "Palabras del nombre", "Paraules del nom";
        search: "Search", "Buscar", "Cerca";
        nothing: "There are no files yet.", "Aún no hay nada.", "Encara no hi ha res.";
        more: "More", "Más", "Més";
        add: "Add", "Añadir", "Afegeix";
        add_what: "Add a file", "Añadir un archivo", "Afegir un fitxer";
        file: "File", "Archivo", "Fitxer";
        who: "Who may have it", "Quién puede tenerlo", "Qui el pot tenir";
        private: "Nobody but this node", "Nadie más que este nodo", "Ningú més que aquest node";
        community: "The microcloud", "La micronube", "El micronúvol";
        public: "Everybody", "Todos", "Tothom";
        needs_script: "To add a file from here, the browser must run JavaScript. Without it: `cloudy blob add FILE` on the node.", "Para añadir un archivo desde aquí, el navegador debe ejecutar JavaScript. Sin él: `cloudy blob add ARCHIVO` en el nodo.", "Per afegir un fitxer des d'aquí, el navegador ha d'executar JavaScript. Sense: `cloudy blob add FITXER` al node.";
        room: "used of", "usados de", "usats de";
        on_nodes: "nodes", "nodos", "nodes";
        on_node: "node", "nodo", "node";
        here: "here", "aquí", "aquí";
        coming: "coming", "en camino", "en camí";
        look_again: "Look again", "Mirar otra vez", "Torna a mirar";
        fetch: "Fetch", "Traer", "Porta";
        save: "Save", "Guardar", "Desa";
        pin: "Keep", "Conservar", "Conserva";
        unpin: "Need not be kept", "No hace falta conservar", "No cal conservar";
        change: "Change", "Cambiar", "Canvia";
        manage: "Manage…", "Gestionar…", "Gestiona…";
        remove: "Remove from this node", "Quitar de este nodo", "Treu d'aquest node";
        remove_why: "Nodes that have fetched it keep it.", "Los nodos que lo han traído lo conservan.", "Els nodes que l'han portat el conserven.";
        at: "For everybody at", "Para todos en", "Per a tothom a";
    }
}
