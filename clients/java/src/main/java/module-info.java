/** A client of paddlesrv, and of other servers that speak the Open Inference Protocol over HTTP. */
module io.paddlesrv.client {
    requires java.net.http;

    exports io.paddlesrv.client;
}
