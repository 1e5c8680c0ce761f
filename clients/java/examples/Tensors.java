import io.paddlesrv.client.ModelMetadata;
import io.paddlesrv.client.PaddlesrvClient;
import io.paddlesrv.client.Tensor;
import io.paddlesrv.client.TensorMetadata;
import java.util.Arrays;
import java.util.Map;

/** Tensors to tensors: {@code Tensors URL MODEL}, for a model that takes rows of floats. */
public final class Tensors {
    public static void main(String[] arguments) {
        try (PaddlesrvClient client = PaddlesrvClient.of(arguments[0])) {
            ModelMetadata model = client.modelMetadata(arguments[1]);
            System.out.println(model);

            TensorMetadata input = model.inputs().get(0);
            int features = (int) input.shape()[1];
            float[] ones = new float[2 * features];
            Arrays.fill(ones, 1);
            Tensor rows = Tensor.ofFloats(new long[] {2, features}, ones);

            client.infer(model.name(), Map.of(input.name(), rows))
                    .outputs()
                    .forEach(
                            (name, tensor) ->
                                    System.out.println(
                                            name + " = " + Arrays.toString(tensor.toFloats())));
        }
    }
}
