//! Words of the map of links.

words! {
    /// Words of the map of links.
    Map, map {
        map: "How the nodes are linked", "Cómo están enlazados los nodos", "Com estan enllaçats els nodes";
        alone: "This node is alone so far. Make an invite and give it to a neighbour: once their node has come in, the link between both is drawn here.", "Este nodo está solo de momento. Cree una invitación y désela a un vecino: cuando su nodo haya entrado, aquí se dibujará el enlace entre ambos.", "Aquest node està sol de moment. Creeu una invitació i doneu-la a un veí: quan el seu node hi hagi entrat, aquí es dibuixarà l'enllaç entre tots dos.";
        none: "No link is known yet. Each node says how its links are, soon after its start and every few minutes.", "Todavía no se conoce ningún enlace. Cada nodo dice cómo están los suyos, poco después de arrancar y cada pocos minutos.", "Encara no es coneix cap enllaç. Cada node diu com estan els seus, poc després d'engegar-se i cada pocs minuts.";
        nodes: "Nodes", "Nodos", "Nodes";
        links: "links", "enlaces", "enllaços";
        good: "good", "bueno", "bo";
        slow: "slow", "lento", "lent";
        lossy: "loses packets", "pierde paquetes", "perd paquets";
        or_more: "or more", "o más", "o més";
        as_table: "The links as a table", "Los enlaces en una tabla", "Els enllaços en una taula";
        one: "Node", "Nodo", "Node";
        other: "Linked to", "Enlazado con", "Enllaçat amb";
        round_trip: "Round trip", "Ida y vuelta", "Anada i tornada";
        lost: "Lost", "Perdido", "Perdut";
        more: "more links, none of them worse than these.", "enlaces más, ninguno peor que estos.", "enllaços més, cap pitjor que aquests.";
        programs: "For programs:", "Para programas:", "Per a programes:";
    }
}
