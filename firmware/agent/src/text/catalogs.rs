//! Words about signed catalogs of apps.

words! {
    /// Words about signed catalogs of apps.
    Catalogs, catalogs {
        catalogs: "Catalogs", "Catálogos", "Catàlegs";
        why: "A catalog is a list of apps that somebody publishes and signs. You see the apps of those that you follow in the store, and their news arrive by themselves. Follow only publishers that you trust: compare the key with the one that they tell you.", "Un catálogo es una lista de aplicaciones que alguien publica y firma. En la tienda ve las aplicaciones de los que sigue, y sus novedades llegan solas. Siga solo a quien le merezca confianza: compare la clave con la que le den.", "Un catàleg és una llista d'aplicacions que algú publica i signa. A la botiga veieu les aplicacions dels que seguiu, i les novetats arriben soles. Seguiu només qui us mereixi confiança: compareu la clau amb la que us donin.";
        none: "Nobody in the microcloud publishes a catalog yet, and none is followed.", "Nadie publica todavía un catálogo en la micronube, y no se sigue ninguno.", "Ningú no publica encara cap catàleg al micronúvol, i no se'n segueix cap.";
        all: "Catalogs: follow more, or fewer", "Catálogos: seguir más o menos", "Catàlegs: seguir-ne més o menys";
        key: "Key", "Clave", "Clau";
        follow: "Follow", "Seguir", "Segueix";
        follow_key: "Follow the catalog of a key", "Seguir el catálogo de una clave", "Segueix el catàleg d'una clau";
        unfollow: "Follow no more", "Dejar de seguir", "Deixa de seguir";
        followed: "followed", "se sigue", "se segueix";
        publication: "publication", "publicación", "publicació";
        apps: "apps", "aplicaciones", "aplicacions";
        mine: "published by this node", "lo publica este nodo", "el publica aquest node";
        not_come: "Nothing has come yet: it is fetched when a node that has it is there.", "Todavía no ha llegado nada: se trae cuando haya un nodo que lo tenga.", "Encara no n'ha arribat res: es porta quan hi hagi un node que el tingui.";
        told_by: "told of by", "lo anuncian", "l'anuncien";
        revoked: "Its publisher has given the key up: nothing more is taken of it.", "Quien lo publica ha renunciado a la clave: no se acepta nada más de él.", "Qui el publica ha renunciat a la clau: no se n'accepta res més.";
        fork: "Its publisher has signed two different catalogs with one number: the key is in two places, or was restored from an old copy. Ask the publisher.", "Quien lo publica ha firmado dos catálogos distintos con el mismo número: la clave está en dos sitios o se recuperó de una copia antigua. Pregunte a quien lo publica.", "Qui el publica ha signat dos catàlegs diferents amb el mateix número: la clau és en dos llocs o es va recuperar d'una còpia antiga. Pregunteu a qui el publica.";
        refused: "Nothing more is taken of it until you decide. What is here stays.", "No se acepta nada más de él hasta que usted decida. Lo que hay aquí se queda.", "No se n'accepta res més fins que decidiu. El que hi ha aquí es queda.";
        go_on: "Follow it all the same", "Seguirlo de todos modos", "Segueix-lo igualment";
        owners: "An owner of this node follows catalogs.", "Un propietario de este nodo sigue los catálogos.", "Un propietari d'aquest node segueix els catàlegs.";
        from: "From the catalog", "Del catálogo", "Del catàleg";
        nothing_new: "Your store has all of its apps.", "Su tienda tiene todas sus aplicaciones.", "La vostra botiga en té totes les aplicacions.";
        get: "Install", "Instalar", "Instal·la";
        fetch: "Fetch into the store", "Traer a la tienda", "Porta-la a la botiga";
        update: "Fetch this version", "Traer esta versión", "Porta aquesta versió";
        replace: "Have it take that one's place", "Que ocupe su lugar", "Que n'ocupi el lloc";
        other: "Another app of this name is here already, from", "Aquí ya hay otra aplicación con este nombre, de", "Aquí ja hi ha una altra aplicació amb aquest nom, de";
        other_unknown: "Another app of this name is here already; it was added by hand or fetched from a neighbour.", "Aquí ya hay otra aplicación con este nombre; se añadió a mano o se trajo de un vecino.", "Aquí ja hi ha una altra aplicació amb aquest nom; es va afegir a mà o es va portar d'un veí.";
        own: "An own app has this name: give that one another name first.", "Una aplicación propia tiene este nombre: póngale antes otro.", "Una aplicació pròpia té aquest nom: poseu-n'hi abans un altre.";
        other_machines: "It is for other machines than this one:", "Es para otras máquinas distintas de esta:", "És per a màquines diferents d'aquesta:";
        coming: "On its way", "En camino", "De camí";
    }
}
