import io.paddlesrv.client.Json;
import io.paddlesrv.client.PaddlesrvClient;
import io.paddlesrv.client.Prediction;
import java.nio.file.Path;

/** A picture to what its model's task makes of it: {@code Labels URL MODEL PICTURE}. */
public final class Labels {
    public static void main(String[] arguments) {
        try (PaddlesrvClient client = PaddlesrvClient.of(arguments[0])) {
            Prediction prediction = client.predict(arguments[1], Path.of(arguments[2]));
            if (!prediction.task().equals("image-classification")) {
                System.out.println(prediction.result());
                return;
            }
            for (Json found : prediction.result().get("classes").items()) {
                double score = found.get("score").asDouble();
                System.out.printf("%.4f  %s%n", score, found.get("label").asString());
            }
        }
    }
}
