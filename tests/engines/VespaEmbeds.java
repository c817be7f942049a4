package ai.vespa.embedding;

import ai.vespa.modelintegration.evaluator.OnnxEvaluator;
import com.yahoo.config.ModelReference;
import com.yahoo.embedding.huggingface.HuggingFaceEmbedderConfig;
import com.yahoo.embedding.huggingface.HuggingFaceEmbedderConfig.PoolingStrategy.Enum;
import com.yahoo.language.Language;
import com.yahoo.language.process.Embedder;
import com.yahoo.processing.request.properties.PropertyMap;
import com.yahoo.search.schema.internal.TensorConverter;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.TensorType;

import java.lang.reflect.Proxy;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Asks Vespa's own classes what they make of a query's value and of a text tower; only the models do not run.
 *
 * Arguments: the value of an input, the id of the embedder, the text, the type of the input; then the names of the
 * tower's inputs, with commas, the name and the type of its output, and the strategy of pooling.
 */
public class VespaEmbeds {

    public static void main(String[] args) {
        TensorType wanted = TensorType.fromSpec(args[3]);
        Map<String, TensorType> inputs = new HashMap<>();
        for (String name : args[4].split(","))
            inputs.put(name, TensorType.fromSpec("tensor<float>(d0[],d1[])"));
        TensorType given = TensorType.fromSpec(args[6]);
        var evaluator = (OnnxEvaluator)Proxy.newProxyInstance(
                VespaEmbeds.class.getClassLoader(), new Class<?>[] { OnnxEvaluator.class },
                (self, method, values) -> method.getName().equals("getInputInfo") ? inputs : Map.of(args[5], given));
        var config = new HuggingFaceEmbedderConfig.Builder()
                .tokenizerPath(ModelReference.valueOf("tokenizer.json")).transformerModel(ModelReference.valueOf("text.onnx"))
                .transformerOutput(args[5]).poolingStrategy(Enum.valueOf(args[7])).build();
        var analysis = HuggingFaceEmbedder.analyze(evaluator, config);
        System.out.println(analysis.inputIdsName() + "," + analysis.attentionMaskName() + "," + analysis.tokenTypeIdsName());

        Embedder tower = new Embedder() {
            @Override public List<Integer> embed(String text, Context context) { throw new UnsupportedOperationException(); }
            @Override public Tensor embed(String text, Context context, TensorType type) {
                System.out.println(URLEncoder.encode(text, StandardCharsets.UTF_8));
                Tensor.Builder rows = Tensor.Builder.of(given); // 1, 2, 3 ... as the vector of the one token
                for (int i = 0; i < given.dimensions().get(2).size().get(); i++) rows.cell(i + 1, 0, 0, i);
                return EmbeddingNormalizer.normalize(
                        analysis.poolingStrategy().toSentenceEmbedding(type, rows.build(), null), type);
            }
        };
        var converter = new TensorConverter(Map.of(args[1], tower));
        var properties = new PropertyMap();
        properties.set("text", args[2]);
        System.out.println(converter.convertTo(wanted, "query(q)", args[0], Language.ENGLISH, Map.of(), properties, Instant.now()));
    }

}
