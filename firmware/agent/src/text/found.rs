//! Words about apps that other nodes give.

words! {
    /// Words about apps that other nodes give.
    Found, found {
        found: "In the microcloud", "En la micronube", "Al micronúvol";
        none: "No neighbour gives an app that is not in your store already. Whoever has one shares it from its page.", "Ningún vecino ofrece una aplicación que no esté ya en su catálogo. Quien tiene una la comparte desde su página.", "Cap veí no ofereix una aplicació que no sigui ja al vostre catàleg. Qui en té una la comparteix des de la seva pàgina.";
        given_by: "given by", "la ofrece", "l'ofereix";
        other_version: "another version than in your store", "otra versión que la de su catálogo", "una altra versió que la del vostre catàleg";
        other_machines: "It is for other machines than this one.", "Es para otras máquinas distintas de esta.", "És per a màquines diferents d'aquesta.";
        owners: "An owner of this node can fetch it.", "Un propietario de este nodo puede traerla.", "Un propietari d'aquest node pot portar-la.";
        coming: "On its way", "En camino", "De camí";
        fetch: "Fetch into the store", "Traer al catálogo", "Porta-la al catàleg";
        update: "Fetch this version", "Traer esta versión", "Porta aquesta versió";
        share: "Share with the microcloud", "Compartir con la micronube", "Comparteix amb el micronúvol";
        shared: "Neighbours can fetch it from this node.", "Los vecinos pueden traerla de este nodo.", "Els veïns la poden portar d'aquest node.";
    }
}
