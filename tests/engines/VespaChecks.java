import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.logging.LogManager;

/** Runs the checker of the test material for each line of standard input: its arguments, with tabs between. */
public class VespaChecks {

    public static void main(String[] args) throws Exception {
        LogManager.getLogManager().reset();
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            VespaCheck.run(line.split("\t"));
            System.out.println("{\"kind\": \"end\"}");
            System.out.flush();
        }
        System.exit(0); // some classes of Vespa leave threads behind
    }

}
