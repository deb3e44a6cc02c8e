//! Words about how services are and how well they are reached.

words! {
    /// Words about how services are and how well they are reached.
    Qualities, qualities {
        good: "good", "bien", "bé";
        fair: "fair", "regular", "regular";
        poor: "poor", "mal", "malament";
        gone: "its node does not answer", "su nodo no responde", "el seu node no respon";
        stopped: "stopped", "parado", "aturat";
        ill: "not well", "no funciona bien", "no funciona bé";
        starting: "starting", "arrancando", "engegant";
        unreached: "not reached from here", "no se llega desde aquí", "des d'aquí no s'hi arriba";
        unmeasured: "not measured yet", "aún sin medir", "encara sense mesurar";
        lost: "lost", "perdido", "perdut";
    }
}
