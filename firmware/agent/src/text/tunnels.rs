//! Words about services that are opened through this node.

words! {
    /// Words about services that are opened through this node.
    Tunnels, tunnels {
        open: "Open through this node", "Abrir a través de este nodo", "Obre a través d'aquest node";
        doubtful: "Your browser may not reach that node: this one reaches it another way.", "Puede que su navegador no llegue a ese nodo: este llega por otro camino.", "Potser el vostre navegador no arriba a aquell node: aquest hi arriba per un altre camí.";
        log_in: "Log in to open it through this node", "Entre para abrirlo a través de este nodo", "Entreu per obrir-lo a través d'aquest node";
        is_open: "Open through this node:", "Abierto a través de este nodo:", "Obert a través d'aquest node:";
        go: "Go there", "Ir allí", "Vés-hi";
        give: "Give this address to the program that speaks it:", "Dé esta dirección al programa que lo habla:", "Doneu aquesta adreça al programa que ho parla:";
        who: "It is for this house, and for the address from which you opened it. It closes when nobody has used it for 30 minutes.", "Es para esta casa y para la dirección desde la que usted lo abrió. Se cierra cuando nadie lo usa durante 30 minutos.", "És per a aquesta casa i per a l'adreça des de la qual l'heu obert. Es tanca quan ningú no el fa servir durant 30 minuts.";
        certificate: "Your browser warns of its certificate: that is made for the other node's name.", "Su navegador avisa del certificado: está hecho para el nombre del otro nodo.", "El vostre navegador avisa del certificat: està fet per al nom de l'altre node.";
        list: "Open through this node", "Abierto a través de este nodo", "Obert a través d'aquest node";
        connections: "connections", "conexiones", "connexions";
        close: "Close", "Cerrar", "Tanca";
        back: "Back", "Volver", "Torna";
    }
}
