//! Words about the API: the frame of its page, whose document is in English.

words! {
    /// Words about the API.
    Api, api {
        title: "The API of this node", "La API de este nodo", "L'API d'aquest node";
        what: "Programs do here all that these pages do. A token says who asks; the account's page makes one.", "Los programas hacen aquí todo lo que hacen estas páginas. Una ficha dice quién pregunta; se crea en la página de la cuenta.", "Els programes fan aquí tot el que fan aquestes pàgines. Una fitxa diu qui pregunta; es crea a la pàgina del compte.";
        document: "The document for programs (OpenAPI 3.1)", "El documento para programas (OpenAPI 3.1)", "El document per a programes (OpenAPI 3.1)";
        english: "The document itself is in English.", "El documento en sí está en inglés.", "El document en si és en anglès.";
        shapes: "Shapes", "Formas", "Formes";
        for_programs: "For programs", "Para programas", "Per a programes";
    }
}
